"""aiokafka."""

import asyncio
import os
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from report import IN, KAFKA, OUT, PREFIX, cross_records, expect, expect_crossed, expect_in_order, judge, keyed

MAIN, TIMES, LARGE, TX = PREFIX + "main", PREFIX + "time", PREFIX + "large", PREFIX + "tx"
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
LABELS = [c or "none" for c in CODECS]
COUNT = 60
TOPIC_ALREADY_EXISTS = 36


async def with_admin(work):
    admin = AIOKafkaAdminClient(bootstrap_servers=KAFKA)
    await admin.start()
    try:
        return await work(admin)
    finally:
        await admin.close()


async def create(name, partitions):
    """Returns the error code of the one topic."""
    answer = await with_admin(lambda a: a.create_topics([NewTopic(name, partitions, 1)]))
    return answer.topic_errors[0][1]


async def produce(topic, records, **config):
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", linger_ms=5, **config)
    await producer.start()
    try:
        sent = [await producer.send(topic, **r) for r in records]
        await asyncio.wait_for(asyncio.gather(*sent), 30)
    finally:
        await producer.stop()


def pairs(records):
    return [{"key": k.encode(), "value": v.encode()} for k, v in records]


async def consume(topic, group, count):
    c = AIOKafkaConsumer(topic, bootstrap_servers=KAFKA, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False)
    await c.start()
    try:
        got, deadline = [], time.monotonic() + 30
        while len(got) < count and time.monotonic() < deadline:
            for records in (await c.getmany(timeout_ms=200)).values():
                got += [(r.key.decode(), r.value.decode()) for r in records]
        await c.commit()
        return got
    finally:
        await c.stop()


async def codecs():
    expect(await create(MAIN, 3), 0, "error code")
    for codec, label in zip(CODECS, LABELS):
        await produce(MAIN, pairs(keyed(label, COUNT)), compression_type=codec, enable_idempotence=True)
    return " ".join(LABELS)


async def group():
    expect_in_order(await consume(MAIN, PREFIX + "group", COUNT * len(CODECS)), LABELS, COUNT)


async def transactional():
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, transactional_id=PREFIX + "tx")
    await producer.start()
    return producer


async def write(producer, label):
    await producer.begin_transaction()
    for i in range(5):
        await producer.send_and_wait(TX, f"{label}{i}".encode(), partition=i % 2)


async def committed():
    c = AIOKafkaConsumer(bootstrap_servers=KAFKA, auto_offset_reset="earliest", isolation_level="read_committed")
    await c.start()
    try:
        parts = [TopicPartition(TX, p) for p in (0, 1)]
        c.assign(parts)
        ends = await c.end_offsets(parts)
        got, deadline = [], time.monotonic() + 20
        while time.monotonic() < deadline and any([await c.position(p) < ends[p] for p in parts]):
            for records in (await c.getmany(timeout_ms=200)).values():
                got += [r.value.decode() for r in records]
        return " ".join(sorted(got))
    finally:
        await c.stop()


async def transactions():
    expect(await create(TX, 2), 0, "error code")
    first = await transactional()
    await write(first, "a")
    await first.commit_transaction()
    await write(first, "b")
    await first.abort_transaction()
    await write(first, "c")
    group, part = PREFIX + "tx-group", TopicPartition(TX, 0)
    await first.send_offsets_to_transaction({part: 3}, group)
    await first.commit_transaction()
    expect(await committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4", "after two commits and an abort")
    stored = await with_admin(lambda a: a.list_consumer_group_offsets(group))
    expect(stored[part].offset, 3, "offset of the transaction")
    await write(first, "d")
    second = await transactional()
    try:
        await first.commit_transaction()
    except ProducerFenced:
        pass
    else:
        raise AssertionError("a fenced producer has committed")
    await write(second, "e")
    await second.commit_transaction()
    await first.stop()
    await second.stop()
    expect(await committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4", "in the end")
    await with_admin(lambda a: a.delete_topics([TX]))


async def resume():
    await produce(MAIN, pairs(keyed("later", COUNT)))
    expect_in_order(await consume(MAIN, PREFIX + "group", COUNT), ["later"], COUNT)


async def times():
    await create(TIMES, 1)
    base, partition = int(time.time() * 1000) - 60000, TopicPartition(TIMES, 0)
    await produce(TIMES, [{"value": b"%d" % i, "timestamp_ms": base + i * 1000} for i in range(10)])
    c = AIOKafkaConsumer(bootstrap_servers=KAFKA)
    await c.start()
    try:
        for at, want in [(base - 1, 0), (base + 3000, 3), (base + 3001, 4)]:
            expect((await c.offsets_for_times({partition: at}))[partition].offset, want, f"offset at {at - base} ms")
        bounds = await c.beginning_offsets([partition]), await c.end_offsets([partition])
        expect(bounds, ({partition: 0}, {partition: 10}), "bounds")
    finally:
        await c.stop()


async def large():
    await create(LARGE, 1)
    value = os.urandom(1_000_000)
    await produce(LARGE, [{"value": value}])
    c = AIOKafkaConsumer(bootstrap_servers=KAFKA, auto_offset_reset="earliest")
    await c.start()
    try:
        c.assign([TopicPartition(LARGE, 0)])
        record = await asyncio.wait_for(c.getone(), 20)
        expect(record.value == value, True, "the bytes come back")
    finally:
        await c.stop()


async def refusals():
    try:
        await produce(LARGE, [{"value": os.urandom(3_000_000)}], max_request_size=8_000_000)
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("a record of 3 MB was taken")
    expect(await create(MAIN, 1), TOPIC_ALREADY_EXISTS, "error code of a second creation")


async def topics():
    described = await with_admin(lambda a: a.describe_topics([MAIN]))
    expect(len(described[0]["partitions"]), 3, "partitions")
    await with_admin(lambda a: a.delete_topics([MAIN, TIMES, LARGE]))
    left = [t for t in await with_admin(lambda a: a.list_topics()) if t in (MAIN, TIMES, LARGE)]
    expect(left, [], "topics after their deletion")


async def crossed():
    return expect_crossed(await consume(IN, PREFIX + "in", 40))


for name, scenario in {
    "codecs": codecs, "group": group, "resume": resume, "time": times, "large": large, "transactions": transactions,
    "errors": refusals, "topics": topics,
}.items():
    judge(name, lambda: asyncio.run(scenario()))
if IN:
    judge("from-kinesis", lambda: asyncio.run(crossed()))
    asyncio.run(produce(OUT, pairs(cross_records())))
