"""kafkatop, which tells how far groups are behind, as exporters of lag do: from the groups' offsets and the ends of partitions."""

import json
import os
import subprocess
import sys

from lagging import COUNT, GROUP, READ, TOPIC, Behind
from report import KAFKA, expect, judge


def lag():
    with Behind() as group:
        group.read()
        found = told()
    expect(found["state"], "ConsumerGroupState.STABLE", "state")
    expect(list(found["topics"]), [TOPIC], "topics")
    most = found["topics"][TOPIC]["lag_max"]
    expect(most, COUNT - READ, "records that the group is behind")
    expect(told("--all")["state"], "ConsumerGroupState.EMPTY", "state after the member left")
    return f"a group {most} records behind, with and without its member"


def told(*args):
    """What kafkatop tells of the group."""
    ran = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "kafkatop"), "--kafka-broker", KAFKA, "--summary-json", "--group-filter-pattern", GROUP,
         "--poll-period", "1", "--poll-iterations", "1", *args],
        capture_output=True, text=True, timeout=60)
    try:
        return json.loads(ran.stdout[ran.stdout.index("{"):])[GROUP]
    except (ValueError, KeyError):
        raise AssertionError(f"kafkatop: {ran.stdout} {ran.stderr}") from None


judge("lag", lag)
