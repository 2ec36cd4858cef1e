// kafkajs 2.2.4: no longer maintained, widely used, and without any flexible version of the protocol. Of codecs it has gzip; snappy is an add-on
// in plain JavaScript; those for lz4 and zstd need a compiler.
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { COUNT, IN, KAFKA, OUT, PREFIX, assert, crossRecords, expectCrossed, expectInOrder, judge, labelled, random } from './report.mjs'

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy

const main = PREFIX + 'main'
const times = PREFIX + 'time'
const large = PREFIX + 'large'
const tx = PREFIX + 'tx'
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const kafka = new Kafka({ brokers: [KAFKA], logLevel: logLevel.NOTHING, retry: { retries: 2 } })
const admin = kafka.admin()

async function create (topic, numPartitions) {
  return admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }] })
}

async function produce (topic, messages, compression = CompressionTypes.None, options = {}) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  try {
    await producer.send({ topic, messages, compression, acks: -1 })
  } finally {
    await producer.disconnect()
  }
}

// consume reads count records as a member of a group, commits behind the last of each partition, and leaves.
async function consume (topic, groupId, count) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200 })
  await consumer.connect()
  const got = []
  const next = new Map()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${got.length} records instead of ${count}`)), 30_000)
      const eachMessage = async ({ partition, message }) => {
        got.push({ key: String(message.key), value: String(message.value), bytes: message.value })
        next.set(partition, String(BigInt(message.offset) + 1n))
        if (got.length === count) {
          clearTimeout(timer)
          resolve()
        }
      }
      consumer.run({ autoCommit: false, eachMessage }).catch(reject)
    })
    await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic, partition, offset })))
  } finally {
    await consumer.disconnect()
  }
  return got
}

await admin.connect()
await judge('codecs', async () => {
  await create(main, 3)
  for (const [label, codec] of Object.entries(codecs)) await produce(main, labelled(label), codec)
  return Object.keys(codecs).join(' ')
})
await judge('group', async () => {
  expectInOrder(await consume(main, PREFIX + 'group', COUNT * 3), Object.keys(codecs))
})
await judge('resume', async () => {
  await produce(main, labelled('later'), CompressionTypes.None, { idempotent: true })
  expectInOrder(await consume(main, PREFIX + 'group', COUNT), ['later'])
})
await judge('time', async () => {
  await create(times, 1)
  const base = Date.now() - 60_000
  await produce(times, Array.from({ length: 10 }, (_, i) => ({ value: String(i), timestamp: String(base + i * 1000) })))
  for (const [after, want] of [[-1, '0'], [3000, '3'], [3001, '4']]) {
    const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(times, base + after)
    assert.equal(offset, want, `offset at ${after} ms`)
  }
  const [{ low, high }] = await admin.fetchTopicOffsets(times)
  assert.deepEqual([low, high], ['0', '10'], 'bounds')
})
await judge('large', async () => {
  await create(large, 1)
  const value = random(1_000_000)
  await produce(large, [{ value }])
  const [record] = await consume(large, PREFIX + 'large', 1)
  assert.ok(value.equals(record.bytes), 'the bytes come back')
})
// committed returns what is read of tx up to its end, in order of text.
async function committed (count) {
  const consumer = kafka.consumer({ groupId: PREFIX + 'tx-reader' + random(4).toString('hex'), maxWaitTimeInMs: 200, readUncommitted: false })
  await consumer.connect()
  const got = []
  try {
    await consumer.subscribe({ topic: tx, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${got} instead of ${count} records`)), 20_000)
      const eachMessage = async ({ message }) => {
        got.push(String(message.value))
        if (got.length === count) {
          clearTimeout(timer)
          resolve()
        }
      }
      consumer.run({ autoCommit: false, eachMessage }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return got.sort().join(' ')
}
const fiveOf = label => Array.from({ length: 5 }, (_, i) => ({ value: label + i, partition: i % 2 }))
await judge('transactions', async () => {
  await create(tx, 2)
  const options = { transactionalId: PREFIX + 'tx', idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner }
  const [first, second] = [kafka.producer(options), kafka.producer(options)]
  await first.connect()
  let t = await first.transaction()
  await t.send({ topic: tx, messages: fiveOf('a') })
  await t.commit()
  t = await first.transaction()
  await t.send({ topic: tx, messages: fiveOf('b') })
  await t.abort()
  t = await first.transaction()
  await t.send({ topic: tx, messages: fiveOf('c') })
  await t.sendOffsets({ consumerGroupId: PREFIX + 'tx-group', topics: [{ topic: tx, partitions: [{ partition: 0, offset: '3' }] }] })
  await t.commit()
  assert.equal(await committed(10), 'a0 a1 a2 a3 a4 c0 c1 c2 c3 c4', 'after two commits and an abort')
  const [{ partitions }] = await admin.fetchOffsets({ groupId: PREFIX + 'tx-group', topics: [tx] })
  assert.equal(partitions.find(p => p.partition === 0).offset, '3', 'offset of the transaction')
  t = await first.transaction()
  await t.send({ topic: tx, messages: fiveOf('d') })
  await second.connect()
  const e = await second.transaction()
  await assert.rejects(t.commit(), /epoch|fenced/i)
  await e.send({ topic: tx, messages: fiveOf('e') })
  await e.commit()
  assert.equal(await committed(15), 'a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4', 'in the end')
  await Promise.all([first.disconnect(), second.disconnect()])
  await admin.deleteTopics({ topics: [tx] })
})
await judge('errors', async () => {
  await assert.rejects(produce(large, [{ value: random(3_000_000) }]), { type: 'MESSAGE_TOO_LARGE' })
  assert.equal(await create(main, 1), false, 'a second creation')
})
await judge('topics', async () => {
  const { topics } = await admin.fetchTopicMetadata({ topics: [main] })
  assert.equal(topics[0].partitions.length, 3, 'partitions')
  await admin.deleteTopics({ topics: [main, times, large] })
  assert.ok(!(await admin.listTopics()).includes(main), 'listed after its deletion')
})
if (IN) {
  await judge('from-kinesis', async () => expectCrossed(await consume(IN, PREFIX + 'in', 40)))
  await produce(OUT, crossRecords())
}
await admin.disconnect()
process.exit(0)
