"""kafka-python."""

import os
import time

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

import offsets_topic
from report import IN, KAFKA, OUT, PREFIX, cross_records, expect, expect_crossed, expect_in_order, judge, keyed

MAIN, TIMES, LARGE, TX = PREFIX + "main", PREFIX + "time", PREFIX + "large", PREFIX + "tx"
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
LABELS = [c or "none" for c in CODECS]
COUNT = 60

admin = KafkaAdminClient(bootstrap_servers=KAFKA)


def create(*topics):
    admin.create_topics([NewTopic(t, n, 1) for t, n in topics])


def produce(topic, records, **config):
    producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all", linger_ms=5, **config)
    try:
        sent = [producer.send(topic, **r) for r in records]
        producer.flush(30)
        for future in sent:
            future.get(30)
    finally:
        producer.close(10)


def pairs(records):
    return [{"key": k.encode(), "value": v.encode()} for k, v in records]


def consumer(group=None, **config):
    return KafkaConsumer(bootstrap_servers=KAFKA, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **config)


def consume(topic, group, count):
    c = consumer(group)
    c.subscribe([topic])
    got, deadline = [], time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        for records in c.poll(200).values():
            got += [(r.key.decode(), r.value.decode()) for r in records]
    c.commit()
    c.close()
    return got


def transactional():
    producer = KafkaProducer(bootstrap_servers=KAFKA, transactional_id=PREFIX + "tx")
    producer.init_transactions()
    return producer


def write(producer, label):
    producer.begin_transaction()
    for i in range(5):
        producer.send(TX, f"{label}{i}".encode(), partition=i % 2)
    producer.flush(20)


def committed():
    c = consumer(isolation_level="read_committed")
    parts = [TopicPartition(TX, p) for p in (0, 1)]
    c.assign(parts)
    c.seek_to_beginning()
    ends, got, deadline = c.end_offsets(parts), [], time.monotonic() + 20
    while time.monotonic() < deadline and any(c.position(p) < ends[p] for p in parts):
        for records in c.poll(200).values():
            got += [r.value.decode() for r in records]
    c.close()
    return " ".join(sorted(got))


def transactions():
    create((TX, 2))
    first = transactional()
    write(first, "a")
    first.commit_transaction()
    write(first, "b")
    first.abort_transaction()
    write(first, "c")
    group, part = PREFIX + "tx-group", TopicPartition(TX, 0)
    first.send_offsets_to_transaction({part: OffsetAndMetadata(3, "", -1)}, group)
    first.commit_transaction()
    expect(committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4", "after two commits and an abort")
    expect(consumer(group).committed(part), 3, "offset of the transaction")
    write(first, "d")
    second = transactional()
    try:
        first.commit_transaction()
    except KafkaError as e:
        expect(type(e).__name__ in ("ProducerFencedError", "InvalidProducerEpochError"), True, repr(e))
    else:
        raise AssertionError("a fenced producer has committed")
    write(second, "e")
    second.commit_transaction()
    expect(committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4", "in the end")
    admin.delete_topics([TX])


def codecs():
    create((MAIN, 3))
    for codec, label in zip(CODECS, LABELS):
        produce(MAIN, pairs(keyed(label, COUNT)), compression_type=codec)
    return " ".join(LABELS)


def said(group):
    c = consumer()
    parts = [TopicPartition(offsets_topic.TOPIC, p) for p in range(offsets_topic.PARTITIONS)]
    c.assign(parts)
    c.seek_to_beginning()
    ends, got, deadline = c.end_offsets(parts), [], time.monotonic() + 20
    while time.monotonic() < deadline and any(c.position(p) < ends[p] for p in parts):
        for records in c.poll(200).values():
            got += [(r.key, r.value) for r in records]
    c.close()
    return offsets_topic.committed(got, group)


def group():
    expect_in_order(consume(MAIN, PREFIX + "group", COUNT * len(CODECS)), LABELS, COUNT)
    c = consumer(PREFIX + "group")
    expect(said(PREFIX + "group"), {(MAIN, p): c.committed(TopicPartition(MAIN, p)) for p in range(3)}, "offsets in " + offsets_topic.TOPIC)
    c.close()


def resume():
    produce(MAIN, pairs(keyed("later", COUNT)))
    expect_in_order(consume(MAIN, PREFIX + "group", COUNT), ["later"], COUNT)


def times():
    create((TIMES, 1))
    base, partition = int(time.time() * 1000) - 60000, TopicPartition(TIMES, 0)
    produce(TIMES, [{"value": b"%d" % i, "timestamp_ms": base + i * 1000} for i in range(10)])
    c = consumer()
    for at, want in [(base - 1, 0), (base + 3000, 3), (base + 3001, 4)]:
        expect(c.offsets_for_times({partition: at})[partition].offset, want, f"offset at {at - base} ms")
    expect((c.beginning_offsets([partition])[partition], c.end_offsets([partition])[partition]), (0, 10), "bounds")
    c.close()


def large():
    create((LARGE, 1))
    value = os.urandom(1_000_000)
    produce(LARGE, [{"value": value}])
    c = consumer()
    c.assign([TopicPartition(LARGE, 0)])
    got, deadline = [], time.monotonic() + 20
    while not got and time.monotonic() < deadline:
        got = [r.value for records in c.poll(500).values() for r in records]
    c.close()
    expect(got == [value], True, "the bytes come back")


def refusals():
    try:
        produce(LARGE, [{"value": os.urandom(3_000_000)}], max_request_size=8_000_000)
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("a record of 3 MB was taken")
    try:
        answer = admin.create_topics([NewTopic(MAIN, 1, 1)])
    except TopicAlreadyExistsError:
        return
    raise AssertionError(f"a topic was created twice: {answer}")


def topics():
    expect(len(admin.describe_topics([MAIN])[0]["partitions"]), 3, "partitions")
    admin.delete_topics([MAIN, TIMES, LARGE])
    expect([t for t in admin.list_topics() if t in (MAIN, TIMES, LARGE)], [], "topics after their deletion")


judge("codecs", codecs)
judge("group", group)
judge("resume", resume)
judge("time", times)
judge("large", large)
judge("transactions", transactions)
judge("errors", refusals)
judge("topics", topics)
if IN:
    judge("from-kinesis", lambda: expect_crossed(consume(IN, PREFIX + "in", 40)))
    produce(OUT, pairs(cross_records()))
