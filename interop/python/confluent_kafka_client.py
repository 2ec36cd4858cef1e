"""confluent-kafka-python, which carries a current librdkafka."""

import os
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from report import IN, KAFKA, OUT, PREFIX, cross_records, expect, expect_crossed, expect_in_order, judge, keyed

MAIN, TIMES, LARGE = PREFIX + "main", PREFIX + "time", PREFIX + "large"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 60

admin = AdminClient({"bootstrap.servers": KAFKA})


def create(*topics):
    for future in admin.create_topics([NewTopic(t, n, 1) for t, n in topics]).values():
        future.result(20)


def produce(topic, records, **config):
    producer = Producer({"bootstrap.servers": KAFKA, "acks": "all", "linger.ms": 5, **config})
    failures = []
    for record in records:
        producer.produce(topic, on_delivery=lambda e, _: e and failures.append(e), **record)
    expect(producer.flush(30), 0, "records not delivered")
    if failures:
        raise KafkaException(failures[0])


def pairs(records):
    return [{"key": k, "value": v} for k, v in records]


def consumer(group):
    return Consumer({
        "bootstrap.servers": KAFKA, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 10000,
    })


def consume(topic, group, count, commit=True):
    c = consumer(group)
    c.subscribe([topic])
    got, deadline = [], time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        for m in c.consume(500, 0.2):
            if m.error():
                raise KafkaException(m.error())
            got.append((m.key().decode(), m.value().decode()))
    if commit:
        c.commit(asynchronous=False)
    c.close()
    return got


def codecs():
    create((MAIN, 3))
    for codec in CODECS:
        produce(MAIN, pairs(keyed(codec, COUNT)), **{"compression.type": codec})
    return " ".join(CODECS)


def group():
    expect_in_order(consume(MAIN, PREFIX + "group", COUNT * len(CODECS)), CODECS, COUNT)


def resume():
    produce(MAIN, pairs(keyed("later", COUNT)), **{"enable.idempotence": True})
    expect_in_order(consume(MAIN, PREFIX + "group", COUNT), ["later"], COUNT)


def times():
    create((TIMES, 1))
    base = int(time.time() * 1000) - 60000
    produce(TIMES, [{"value": str(i), "timestamp": base + i * 1000} for i in range(10)])
    c = consumer(PREFIX + "times")
    for at, want in [(base - 1, 0), (base + 3000, 3), (base + 3001, 4)]:
        expect(c.offsets_for_times([TopicPartition(TIMES, 0, at)], 10)[0].offset, want, f"offset at {at - base} ms")
    expect(c.get_watermark_offsets(TopicPartition(TIMES, 0), 10), (0, 10), "bounds")
    c.close()


def large():
    create((LARGE, 1))
    value = os.urandom(1_000_000)
    produce(LARGE, [{"value": value}], **{"message.max.bytes": 1_048_576})
    c = consumer(PREFIX + "large")
    c.assign([TopicPartition(LARGE, 0, 0)])
    messages = c.consume(1, 20)
    c.close()
    expect(len(messages), 1, "records")
    expect(messages[0].value() == value, True, "the bytes come back")


def refusals():
    try:
        produce(LARGE, [{"value": os.urandom(3_000_000)}], **{"message.max.bytes": 8_000_000})
    except KafkaException as e:
        expect(e.args[0].code(), KafkaError.MSG_SIZE_TOO_LARGE, "error")
    else:
        raise AssertionError("a record of 3 MB was taken")
    try:
        admin.create_topics([NewTopic(MAIN, 1, 1)])[MAIN].result(20)
    except KafkaException as e:
        expect(e.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "error")
    else:
        raise AssertionError("a topic was created twice")


def topics():
    expect(len(admin.list_topics(MAIN, 20).topics[MAIN].partitions), 3, "partitions")
    for future in admin.delete_topics([MAIN, TIMES, LARGE]).values():
        future.result(20)
    left = [t for t in admin.list_topics(timeout=20).topics if t in (MAIN, TIMES, LARGE)]
    expect(left, [], "topics after their deletion")


judge("codecs", codecs)
judge("group", group)
judge("resume", resume)
judge("time", times)
judge("large", large)
judge("errors", refusals)
judge("topics", topics)
if IN:
    judge("from-kinesis", lambda: expect_crossed(consume(IN, PREFIX + "in", 40)))
    produce(OUT, pairs(cross_records()))
