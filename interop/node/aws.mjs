// AWS SDK for JavaScript v3: its Kinesis client opens HTTP/2 with prior knowledge, on plain endpoints too.
import {
  AddTagsToStreamCommand, CreateStreamCommand, DeleteStreamCommand, DeregisterStreamConsumerCommand, DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand, GetRecordsCommand, GetShardIteratorCommand, IncreaseStreamRetentionPeriodCommand, KinesisClient,
  ListShardsCommand, ListTagsForStreamCommand, PutRecordCommand, PutRecordsCommand, RegisterStreamConsumerCommand,
  SubscribeToShardCommand, waitUntilStreamExists, waitUntilStreamNotExists
} from '@aws-sdk/client-kinesis'
import { setTimeout as after } from 'node:timers/promises'
import { COUNT, IN, OUT, PREFIX, assert, crossRecords, expectCrossed, expectInOrder, judge, labelled, say } from './report.mjs'

const StreamName = PREFIX + 'stream'
const client = new KinesisClient({ maxAttempts: 1 })
const send = command => client.send(command)
const patience = { client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }

const entries = records => records.map(r => ({ PartitionKey: r.key, Data: Buffer.from(r.value) }))

async function putAll (StreamName, records) {
  const answer = await send(new PutRecordsCommand({ StreamName, Records: entries(records) }))
  assert.equal(answer.FailedRecordCount, 0, 'failed records')
}

const shards = async StreamName => (await send(new ListShardsCommand({ StreamName }))).Shards

async function readAll (StreamName, start) {
  const got = []
  for (const { ShardId } of await shards(StreamName)) {
    let next = (await send(new GetShardIteratorCommand({ StreamName, ShardId, ...start }))).ShardIterator
    while (next) {
      const page = await send(new GetRecordsCommand({ ShardIterator: next }))
      for (const r of page.Records) got.push({ key: r.PartitionKey, value: Buffer.from(r.Data).toString() })
      next = page.Records.length === 0 && page.MillisBehindLatest === 0 ? null : page.NextShardIterator
    }
  }
  return got
}

await judge('put', async () => {
  await send(new CreateStreamCommand({ StreamName, ShardCount: 2 }))
  await waitUntilStreamExists(patience, { StreamName })
  const [first, ...rest] = labelled('js')
  const one = await send(new PutRecordCommand({ StreamName, PartitionKey: first.key, Data: Buffer.from(first.value) }))
  assert.match(one.SequenceNumber, /^\d+$/)
  await putAll(StreamName, rest)
})
await judge('read', async () => {
  expectInOrder(await readAll(StreamName, { ShardIteratorType: 'TRIM_HORIZON' }), ['js'])
  await after(20)
  const Timestamp = new Date()
  await putAll(StreamName, [{ key: 'late', value: 'late' }])
  const late = await readAll(StreamName, { ShardIteratorType: 'AT_TIMESTAMP', Timestamp })
  assert.deepEqual(late, [{ key: 'late', value: 'late' }], 'records from that time')
})
await judge('subscribe', async () => {
  const { StreamARN } = (await send(new DescribeStreamSummaryCommand({ StreamName }))).StreamDescriptionSummary
  const { Consumer } = await send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'judge' }))
  const { ConsumerARN } = Consumer
  const status = async () => (await send(new DescribeStreamConsumerCommand({ ConsumerARN }))).ConsumerDescription.ConsumerStatus
  while (await status() !== 'ACTIVE') await after(50)
  let count = 0
  for (const { ShardId } of await shards(StreamName)) {
    const answer = await send(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition: { Type: 'TRIM_HORIZON' } }))
    for await (const { SubscribeToShardEvent: event } of answer.EventStream) {
      count += event?.Records.length ?? 0
      if (event?.MillisBehindLatest === 0) break
    }
  }
  assert.equal(count, COUNT + 1, 'records')
  await send(new DeregisterStreamConsumerCommand({ ConsumerARN }))
  return `${count} records`
})
await judge('errors', async () => {
  const absent = PREFIX + 'absent'
  await assert.rejects(send(new DescribeStreamSummaryCommand({ StreamName: absent })), e => {
    assert.equal(e.name, 'ResourceNotFoundException')
    assert.match(e.message, new RegExp(`^Stream ${absent} under account \\d{12} not found\\.$`))
    return true
  })
  await assert.rejects(send(new CreateStreamCommand({ StreamName, ShardCount: 1 })), { name: 'ResourceInUseException' })
  await assert.rejects(send(new PutRecordCommand({ StreamName, PartitionKey: '', Data: Buffer.from('x') })), { name: 'ValidationException' })
})
await judge('streams', async () => {
  await send(new AddTagsToStreamCommand({ StreamName, Tags: { team: 'a' } }))
  const { Tags } = await send(new ListTagsForStreamCommand({ StreamName }))
  assert.deepEqual(Tags, [{ Key: 'team', Value: 'a' }], 'tags')
  await send(new IncreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours: 48 }))
  const { StreamDescriptionSummary: summary } = await send(new DescribeStreamSummaryCommand({ StreamName }))
  assert.deepEqual([summary.RetentionPeriodHours, summary.OpenShardCount], [48, 2], 'retention and shards')
  await send(new DeleteStreamCommand({ StreamName }))
  await waitUntilStreamNotExists(patience, { StreamName })
})
say('firehose', 'none', 'judged by boto3 and the CLI')
if (IN) {
  await judge('from-kafka', async () => expectCrossed(await readAll(IN, { ShardIteratorType: 'TRIM_HORIZON' })))
  await putAll(OUT, crossRecords())
}
process.exit(0)
