// @platformatic/kafka. Its zstd needs a newer Node than 20, whose zlib has none.
import zlib from 'node:zlib'
import { Admin, Consumer, ListOffsetTimestamps, ProduceAcks, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { COUNT, IN, KAFKA, OUT, PREFIX, assert, crossRecords, expectCrossed, expectInOrder, judge, labelled, random } from './report.mjs'

const main = PREFIX + 'main'
const times = PREFIX + 'time'
const large = PREFIX + 'large'
const tx = PREFIX + 'tx'
const codecs = ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])]
const base = { clientId: 'interop', bootstrapBrokers: [KAFKA], retries: 2 }
const admin = new Admin(base)

const create = (topic, partitions) => admin.createTopics({ topics: [topic], partitions, replicas: 1 })

// produce is idempotent: without, this client repeats all partitions of a send when the server does not know one of them yet.
async function produce (topic, records, options = {}) {
  const producer = new Producer({ ...base, serializers: options.bytes ? undefined : stringSerializers })
  const { bytes, ...rest } = options
  try {
    await producer.send({ messages: records.map(r => ({ topic, ...r })), acks: ProduceAcks.ALL, idempotent: true, ...rest })
  } finally {
    await producer.close()
  }
}

// consume reads count records as a member of a group, commits each, and leaves.
async function consume (topic, groupId, count, deserializers = stringDeserializers, more = {}) {
  const consumer = new Consumer({ ...base, groupId, deserializers, maxWaitTime: 200, ...more })
  const got = []
  try {
    const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: false })
    const timer = setTimeout(() => stream.destroy(new Error(`${got.length} records instead of ${count}`)), 30_000)
    const last = new Map()
    for await (const message of stream) {
      got.push({ key: message.key, value: message.value })
      last.set(message.partition, message)
      if (got.length === count) break
    }
    clearTimeout(timer)
    const offsets = [...last.values()].map(m => ({ topic, partition: m.partition, offset: m.offset + 1n, leaderEpoch: -1 }))
    await consumer.commit({ offsets })
  } finally {
    await consumer.close(true)
  }
  return got
}

await judge('codecs', async () => {
  await create(main, 3)
  for (const codec of codecs) await produce(main, labelled(codec), { compression: codec })
  return codecs.join(' ')
})
await judge('group', async () => {
  expectInOrder(await consume(main, PREFIX + 'group', COUNT * codecs.length), codecs)
})
await judge('resume', async () => {
  await produce(main, labelled('later'))
  expectInOrder(await consume(main, PREFIX + 'group', COUNT), ['later'])
})
await judge('time', async () => {
  await create(times, 1)
  const start = Date.now() - 60_000
  const records = Array.from({ length: 10 }, (_, i) => ({ value: String(i), timestamp: BigInt(start + i * 1000) }))
  await produce(times, records)
  const consumer = new Consumer({ ...base, groupId: PREFIX + 'times' })
  const at = async timestamp => (await consumer.listOffsets({ topics: [times], timestamp })).get(times)[0]
  try {
    for (const [after, want] of [[-1, 0n], [3000, 3n], [3001, 4n]]) {
      assert.equal(await at(BigInt(start + after)), want, `offset at ${after} ms`)
    }
    assert.equal(await at(ListOffsetTimestamps.LATEST), 10n, 'end')
  } finally {
    await consumer.close(true)
  }
})
await judge('large', async () => {
  await create(large, 1)
  const value = random(1_000_000)
  await produce(large, [{ value }], { bytes: true })
  const [record] = await consume(large, PREFIX + 'large', 1, null)
  assert.ok(value.equals(record.value), 'the bytes come back')
})
const fiveOf = label => Array.from({ length: 5 }, (_, i) => ({ topic: tx, value: label + i, partition: i % 2 }))
const committed = async (group, count) =>
  (await consume(tx, PREFIX + group, count, stringDeserializers, { isolationLevel: 1 })).map(r => r.value).sort().join(' ')
await judge('transactions', async () => {
  await create(tx, 2)
  const options = { ...base, serializers: stringSerializers, transactionalId: PREFIX + 'tx', idempotent: true }
  // A second producer of the id would be fenced at once, also by Apache Kafka: this client says that it goes on as producer 0.
  const producer = new Producer(options)
  for (const [label, end] of [['a', 'commit'], ['b', 'abort'], ['c', 'commit']]) {
    const t = await producer.beginTransaction()
    await t.send({ messages: fiveOf(label) })
    await t[end]()
  }
  await producer.close()
  assert.equal(await committed('tx-reader', 10), 'a0 a1 a2 a3 a4 c0 c1 c2 c3 c4', 'after two commits and an abort')
  await admin.deleteTopics({ topics: [tx] })
})
await judge('errors', async () => {
  const codes = e => JSON.stringify([e.apiId, ...(e.errors ?? []).flatMap(x => [x.apiId, ...(x.errors ?? []).map(y => y.apiId)])])
  await assert.rejects(produce(large, [{ value: random(3_000_000) }], { bytes: true }), e => /MESSAGE_TOO_LARGE/.test(codes(e)))
  await assert.rejects(create(main, 1), e => /TOPIC_ALREADY_EXISTS/.test(codes(e)))
})
await judge('topics', async () => {
  const metadata = await admin.metadata({ topics: [main] })
  assert.equal(metadata.topics.get(main).partitionsCount, 3, 'partitions')
  await admin.deleteTopics({ topics: [main, times, large] })
  assert.ok(!(await admin.listTopics()).includes(main), 'listed after its deletion')
})
if (IN) {
  await judge('from-kinesis', async () => expectCrossed(await consume(IN, PREFIX + 'in', 40)))
  await produce(OUT, crossRecords())
}
await admin.close()
process.exit(0)
