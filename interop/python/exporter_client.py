"""prometheus-kafka-consumer-group-exporter, which reads __consumer_offsets and asks for the ends of partitions with ListOffsets v0."""

import os
import re
import subprocess
import sys
import urllib.request

from lagging import GROUP, TOPIC, Behind, await_told, free_port
from report import KAFKA, judge

PORT = free_port()


def lag():
    with Behind() as group:
        group.read()
        exporter = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "prometheus-kafka-consumer-group-exporter"), "--bootstrap-brokers", KAFKA, "--port", str(PORT),
             "--from-start", "--high-water-interval", "1", "--low-water-interval", "1", "--topic-interval", "1", "--log-level", "WARNING"])
        try:
            before = group.lag
            await_told(told, before)
            group.read(20)
            await_told(told, group.lag)
        finally:
            exporter.kill()
            exporter.wait()
        return f"a group {before} records behind, then {group.lag}"


def told():
    """The lag on the exporter's page of metrics."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10).read().decode()
    found = re.search(r"^kafka_consumer_group_lag{" + f'group="{GROUP}",partition="0",topic="{TOPIC}"' + r"} ([0-9.]+)$", page, re.MULTILINE)
    return float(found[1]) if found else None


judge("lag", lag)
