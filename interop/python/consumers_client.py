"""Consumer groups of KIP-848 with confluent-kafka-python, which carries a current librdkafka."""

import time

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from report import KAFKA, PREFIX, expect, judge

TOPIC, LATER = PREFIX + "shared", PREFIX + "sharedlater"

admin = AdminClient({"bootstrap.servers": KAFKA})


def create(topic, partitions):
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(20)


def member(group, **config):
    return Consumer({
        "bootstrap.servers": KAFKA, "group.id": PREFIX + group, "group.protocol": "consumer", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000, **{k.replace("_", "."): v for k, v in config.items()},
    })


def classic(group):
    return member(group, group_protocol="classic", partition_assignment_strategy="cooperative-sticky", session_timeout_ms=10000,
                  heartbeat_interval_ms=300)


def until(want, *members):
    """Polls all members by turns until each has as many partitions as wanted, and returns how many records came."""
    got, deadline = 0, time.monotonic() + 30
    have = []
    while time.monotonic() < deadline:
        have = []
        for c in members:
            for m in c.consume(100, 0.05):
                if m.error():
                    raise KafkaException(m.error())
                got += 1
            have.append(len(c.assignment()))
        if have == want:
            return got
    raise AssertionError(f"partitions of the members: {have} instead of {want}")


def positions(c):
    return sum(max(0, p.offset) for p in c.position(c.assignment()))  # below 0 before the first record


def shares():
    a, b = member("shares"), member("shares")
    for c in (a, b):
        c.subscribe([TOPIC])
    until([2, 2], a, b)
    # Positions and not records are counted: what one read before a partition moved the other reads again.
    deadline = time.monotonic() + 20
    while positions(a) + positions(b) < 40 and time.monotonic() < deadline:
        a.consume(100, 0.05)
        b.consume(100, 0.05)
    expect(positions(a) + positions(b), 40, "positions")
    for c in (a, b):
        c.commit(asynchronous=False)
    b.close()
    until([4], a)
    expect(sum(p.offset for p in a.committed(a.assignment(), 10)), 40, "committed offsets")
    a.close()


def patterns():
    c = member("patterns")
    c.subscribe([f"^{PREFIX}shared.*"])
    until([4], c)
    create(LATER, 3)
    until([7], c)
    c.close()


def static():
    other, first = member("static"), member("static", group_instance_id="one")
    for c in (other, first):
        c.subscribe([TOPIC])
    until([2, 2], other, first)
    had = sorted(p.partition for p in first.assignment())
    first.close()
    again = member("static", group_instance_id="one")
    again.subscribe([TOPIC])
    until([2, 2], other, again)
    expect(sorted(p.partition for p in again.assignment()), had, "assignment of the static member")
    again.close()
    other.close()


def migration():
    old, new = classic("migration"), member("migration")
    old.subscribe([TOPIC])
    until([4], old)
    new.subscribe([TOPIC])
    until([2, 2], old, new)
    new.close()
    until([4], old)
    old.close()


create(TOPIC, 4)
producer = Producer({"bootstrap.servers": KAFKA})
for i in range(40):
    producer.produce(TOPIC, key=f"k{i}", value=f"v{i}", partition=i % 4)
expect(producer.flush(30), 0, "records not delivered")
judge("shares", shares)
judge("patterns", patterns)
judge("static", static)
judge("migration", migration)
for future in admin.delete_topics([TOPIC, LATER]).values():
    future.result(20)
