"""Burrow, which reads __consumer_offsets and asks for the ends of partitions with ListOffsets v0. It keeps a lock in a ZooKeeper, which runs beside it."""

import json
import os
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from lagging import GROUP, TOPIC, Behind, await_told, free_port
from report import KAFKA, judge

ZOOKEEPER, HTTP = free_port(), free_port()


def lag():
    with tempfile.TemporaryDirectory() as work, open(os.path.join(work, "log"), "w+") as log, Behind() as group:
        group.read()
        running = []
        try:
            running.append(zookeeper(work, log))
            running.append(burrow(work, log))
            before = group.lag
            await_told(told, (before, before))
            group.read(20)
            await_told(told, (group.lag, group.lag))
        except AssertionError as e:
            log.seek(0)
            raise AssertionError(f"{e}; {log.read()[-1000:]}") from None
        finally:
            for process in reversed(running):
                process.kill()
                process.wait()
        return f"a group {before} records behind, then {group.lag}"


def zookeeper(work, log):
    config = os.path.join(work, "zoo.cfg")
    with open(config, "w") as f:
        f.write(f"dataDir={work}/zookeeper\nclientPort={ZOOKEEPER}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n")
    process = subprocess.Popen(
        ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m", "-cp", os.environ["ZOOKEEPER_JARS"] + "/*",
         "org.apache.zookeeper.server.quorum.QuorumPeerMain", config],
        stdout=log, stderr=log)

    def serves():  # it listens before
        with socket.create_connection(("127.0.0.1", ZOOKEEPER), timeout=10) as s, s.makefile("rw") as f:
            f.write("srvr")
            f.flush()
            return "Mode: standalone" in f.read()
    try:
        await_told(serves, True)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def burrow(work, log):
    with open(os.path.join(work, "burrow.toml"), "w") as f:
        f.write(f"""
[general]
pidfile="{work}/burrow.pid"
[zookeeper]
servers=["127.0.0.1:{ZOOKEEPER}"]
root-path="/burrow"
[client-profile.here]
kafka-version="2.0.0"
[cluster.local]
class-name="kafka"
servers=["{KAFKA}"]
client-profile="here"
topic-refresh=1
offset-refresh=1
[consumer.local]
class-name="kafka"
cluster="local"
servers=["{KAFKA}"]
client-profile="here"
[httpserver.default]
address="127.0.0.1:{HTTP}"
[storage.default]
class-name="inmemory"
min-distance=1
""")
    return subprocess.Popen([os.environ["BURROW"], "-config-dir", work], cwd=work, stdout=log, stderr=log)


def told():
    """The lag of the group, and that of the first partition."""
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/v3/kafka/local/consumer/{GROUP}/lag", timeout=10).read()
    except urllib.error.HTTPError as e:
        return e.code
    status = json.loads(answer)["status"]
    first = [p["current_lag"] for p in status["partitions"] if (p["topic"], p["partition"]) == (TOPIC, 0)]
    return status["totallag"], *first


judge("lag", lag)
