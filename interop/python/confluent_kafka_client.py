"""confluent-kafka-python, which carries a current librdkafka."""

import os
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewTopic

import offsets_topic
from report import IN, KAFKA, OUT, PREFIX, cross_records, expect, expect_crossed, expect_in_order, judge, keyed

MAIN, TIMES, LARGE, TABLE = PREFIX + "main", PREFIX + "time", PREFIX + "large", PREFIX + "table"
TX = PREFIX + "tx"
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


def said(group):
    c = Consumer({"bootstrap.servers": KAFKA, "group.id": PREFIX + "exporter", "enable.auto.commit": False, "enable.partition.eof": True})
    c.assign([TopicPartition(offsets_topic.TOPIC, p, OFFSET_BEGINNING) for p in range(offsets_topic.PARTITIONS)])
    got, ended, deadline = [], set(), time.monotonic() + 20
    while len(ended) < offsets_topic.PARTITIONS and time.monotonic() < deadline:
        m = c.poll(0.2)
        if m is None:
            continue
        if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
            ended.add(m.partition())
        elif m.error():
            raise KafkaException(m.error())
        else:
            got.append((m.key(), m.value()))
    c.close()
    return offsets_topic.committed(got, group)


def group():
    expect_in_order(consume(MAIN, PREFIX + "group", COUNT * len(CODECS)), CODECS, COUNT)
    c = consumer(PREFIX + "group")
    kept = {(MAIN, p.partition): p.offset for p in c.committed([TopicPartition(MAIN, p) for p in range(3)], 20)}
    c.close()
    expect(said(PREFIX + "group"), kept, "offsets in " + offsets_topic.TOPIC)


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


def transactional():
    producer = Producer({"bootstrap.servers": KAFKA, "transactional.id": PREFIX + "tx"})
    producer.init_transactions(20)
    return producer


def write(producer, label):
    producer.begin_transaction()
    for i in range(5):
        producer.produce(TX, f"{label}{i}", partition=i % 2)


def committed():
    c = Consumer({
        "bootstrap.servers": KAFKA, "group.id": PREFIX + "tx-reader", "isolation.level": "read_committed", "enable.partition.eof": True,
        "enable.auto.commit": False,
    })
    c.assign([TopicPartition(TX, p, 0) for p in (0, 1)])
    got, ended, deadline = [], set(), time.monotonic() + 20
    while len(ended) < 2 and time.monotonic() < deadline:
        for m in c.consume(100, 0.2):
            if not m.error():
                got.append(m.value().decode())
            elif m.error().code() == KafkaError._PARTITION_EOF:
                ended.add(m.partition())
            else:
                raise KafkaException(m.error())
    c.close()
    return " ".join(sorted(got))


def transactions():
    create((TX, 2))
    first = transactional()
    write(first, "a")
    first.commit_transaction(20)
    write(first, "b")
    first.flush(20)
    first.abort_transaction(20)
    expect(committed(), "a0 a1 a2 a3 a4", "after a commit and an abort")
    c = consumer(PREFIX + "tx-group")
    c.subscribe([TX])
    got, deadline = 0, time.monotonic() + 20
    while got < 5 and time.monotonic() < deadline:
        got += len(c.consume(100, 0.2))
    offsets = c.position(c.assignment())
    write(first, "c")
    first.send_offsets_to_transaction(offsets, c.consumer_group_metadata(), 20)
    first.commit_transaction(20)
    expect([(p.partition, p.offset) for p in c.committed(offsets, 20)], [(p.partition, p.offset) for p in offsets], "offsets of the transaction")
    c.close()
    write(first, "d")
    first.flush(20)
    second = transactional()
    try:
        first.commit_transaction(20)
    except KafkaException as e:
        expect((e.args[0].fatal(), e.args[0].code()), (True, KafkaError._FENCED), "error of a fenced producer")
    else:
        raise AssertionError("a fenced producer has committed")
    write(second, "e")
    second.commit_transaction(20)
    expect(committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4", "in the end")
    for future in admin.delete_topics([TX]).values():
        future.result(20)


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


def brokers():
    """A config of the broker is altered while it runs, and taken back; this one changes nothing for others."""
    key = "log.cleaner.io.buffer.size"

    def alter(op, value):
        entry = ConfigEntry(key, value, incremental_operation=op)
        resource = ConfigResource(ConfigResource.Type.BROKER, "1", incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(20)

    def now():
        for future in admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]).values():
            found = future.result(20)[key]
            return found.value, ConfigSource(found.source)

    alter(AlterConfigOpType.SET, "600000")
    expect(now(), ("600000", ConfigSource.DYNAMIC_BROKER_CONFIG), "the broker's config")
    alter(AlterConfigOpType.DELETE, None)
    expect(now(), ("524288", ConfigSource.DEFAULT_CONFIG), "the broker's config taken back")
    try:
        alter(AlterConfigOpType.SET, "-1")
    except KafkaException as e:
        expect(e.args[0].code(), KafkaError.INVALID_REQUEST, "error")
    else:
        raise AssertionError("a buffer of less than nothing was taken")


def topics():
    brokers()
    expect(len(admin.list_topics(MAIN, 20).topics[MAIN].partitions), 3, "partitions")
    for future in admin.delete_topics([MAIN, TIMES, LARGE]).values():
        future.result(20)
    left = [t for t in admin.list_topics(timeout=20).topics if t in (MAIN, TIMES, LARGE)]
    expect(left, [], "topics after their deletion")
    return table()


def table():
    """Keys written again and again, in all codecs, and read as a table until the topic is compacted: it has the last values all the time."""
    config = {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.01"}
    for future in admin.create_topics([NewTopic(TABLE, 1, 1, config=config)]).values():
        future.result(20)
    want, sent = {}, 0
    for number in range(10):
        records = []
        for i in range(20):
            key, value = f"key-{i}", None if (i + number) % 6 == 0 else f"{number}:{i}:" + "x" * 100
            records.append({"key": key, "value": value})
            want[key] = value
        produce(TABLE, records, **{"compression.type": CODECS[number % len(CODECS)]})
        sent += len(records)
    want = {k: v for k, v in want.items() if v is not None}
    read, deadline = sent, time.monotonic() + 60
    while read > 60:  # the last batch is left as it is, beside one record of each key
        if time.monotonic() > deadline:
            raise AssertionError(f"{read} of {sent} records are left after a minute")
        time.sleep(1)
        got, read = read_table()
        expect(got, want, f"the table of {read} records")
    return "compacted topic read as a table"


def read_table():
    c = Consumer({"bootstrap.servers": KAFKA, "group.id": PREFIX + "table", "enable.auto.commit": False, "enable.partition.eof": True})
    c.assign([TopicPartition(TABLE, 0, 0)])
    got, read, deadline = {}, 0, time.monotonic() + 20
    while time.monotonic() < deadline:
        m = c.poll(1)
        if m is None:
            continue
        if m.error():
            if m.error().code() == KafkaError._PARTITION_EOF:
                c.close()
                return {k: v for k, v in got.items() if v is not None}, read
            raise KafkaException(m.error())
        read += 1
        got[m.key().decode()] = None if m.value() is None else m.value().decode()
    raise AssertionError(f"the end is not reached, {read} records were read")


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
