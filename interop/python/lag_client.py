"""kafkatop, which tells how far groups are behind, as Burrow and the exporters of lag do: from the groups' offsets and the ends of partitions."""

import json
import os
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from report import KAFKA, PREFIX, expect, judge

TOPIC, GROUP = PREFIX + "lagged", PREFIX + "behind"
COUNT, READ = 100, 40


def lag():
    admin = AdminClient({"bootstrap.servers": KAFKA})
    admin.create_topics([NewTopic(TOPIC, 3, 1)])[TOPIC].result(20)
    producer = Producer({"bootstrap.servers": KAFKA})
    for i in range(COUNT):
        producer.produce(TOPIC, b"x", partition=0)
    expect(producer.flush(30), 0, "records not delivered")
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([TOPIC])
    read, deadline = 0, time.monotonic() + 30
    while read < READ and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            read += 1
            consumer.commit(message, asynchronous=False)
    expect(read, READ, "records read")
    found = told()
    consumer.close()
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
