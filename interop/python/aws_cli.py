"""The AWS CLI as a program, for the scenarios that type its commands."""

import json
import shutil
import subprocess

from report import ENDPOINT

AWS = shutil.which("aws")


class Refused(Exception):
    pass


def aws(*args, **members):
    """Runs a command; members whose values are not strings go as JSON. Returns its answer."""
    command = [AWS, "--endpoint-url", ENDPOINT, "--output", "json", *args]
    for name, value in members.items():
        command += ["--" + name.replace("_", "-"), value if isinstance(value, str) else json.dumps(value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return json.loads(done.stdout) if done.stdout.strip() else {}
