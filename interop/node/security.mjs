// kafkajs 2.2.4 through listeners of every kind; MSK's signer for access keys.
import kafkajs from 'kafkajs'
import { generateAuthToken } from 'aws-msk-iam-sasl-signer-js'
import { readFileSync } from 'node:fs'
import { PREFIX, assert, judge } from './report.mjs'

const { Kafka, Partitioners, logLevel } = kafkajs
const env = process.env
const trust = { ca: [readFileSync(env.CA)], servername: 'localhost' }

const config = (listener, sasl, ssl = {}) =>
  ({ brokers: [env[listener]], ssl: { ...trust, ...ssl }, sasl, logLevel: logLevel.NOTHING, retry: { retries: 1 } })

const password = (mechanism, word = env.USER_PASSWORD) => config('PASSWORDS', { mechanism, username: env.USER_NAME, password: word })

async function signed () {
  return { value: (await generateAuthToken({ region: 'us-east-1' })).token }
}

// roundTrip creates a topic, writes a record and reads it back.
async function roundTrip (name, config) {
  const topic = PREFIX + name
  const kafka = new Kafka(config)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] })
  await admin.disconnect()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic, messages: [{ key: 'key', value: `value of ${name}` }] })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 200 })
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    const got = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no record came back')), 30_000)
      const eachMessage = async ({ message }) => {
        clearTimeout(timer)
        resolve(String(message.value))
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    assert.equal(got, `value of ${name}`)
  } finally {
    await consumer.disconnect()
  }
  return 'a record there and back'
}

async function denied () {
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    await assert.rejects(roundTrip('never', password(mechanism, 'wrong')), { name: 'KafkaJSSASLAuthenticationError' }, mechanism)
  }
  const forged = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: env.TOKEN.slice(0, -4) + 'AAAA' }) }
  // kafkajs does not read the refusal, and goes on: then it is cut off.
  await assert.rejects(roundTrip('never', config('TOKENS', forged)), { name: 'KafkaJSConnectionClosedError' }, 'a forged token')
  await assert.rejects(roundTrip('never', config('MTLS')), 'no certificate')
  return 'wrong passwords, a forged token, no certificate'
}

await judge('tls', () => roundTrip('tls', config('TLS')))
await judge('mtls', () => roundTrip('mtls', config('MTLS', undefined, { cert: readFileSync(env.CLIENT_CERT), key: readFileSync(env.CLIENT_KEY) })))
await judge('plain', () => roundTrip('plain', password('plain')))
await judge('scram', async () => {
  await roundTrip('scram256', password('scram-sha-256'))
  return roundTrip('scram512', password('scram-sha-512'))
})
await judge('token', () => roundTrip('token', config('TOKENS', { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: env.TOKEN }) })))
await judge('iam', () => roundTrip('iam', config('IAM', { mechanism: 'oauthbearer', oauthBearerProvider: signed })))
await judge('denied', denied)
process.exit(0)
