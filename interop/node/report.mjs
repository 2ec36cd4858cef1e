// What the JavaScript scenarios share: how a finding is reported, and the records they are judged with (see cross.go).
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'

export const KAFKA = process.env.KAFKA
export const PREFIX = process.env.PREFIX
export const IN = process.env.IN ?? ''
export const OUT = process.env.OUT ?? ''
export const COUNT = 60

// judge runs one capability's scenario: what it returns is the detail of an ok, what it throws that of a failure.
export async function judge (capability, scenario) {
  try {
    say(capability, 'ok', (await scenario()) ?? '')
  } catch (e) {
    console.error(e)
    say(capability, 'fail', `${e.name}: ${e.message}`)
  }
}

export function say (capability, verdict, detail) {
  console.log(`@ ${capability} ${verdict} ${String(detail).replace(/\s+/g, ' ').slice(0, 400)}`)
}

// labelled returns COUNT records of seven keys, numbered, long enough to be worth compressing.
export function labelled (label) {
  return Array.from({ length: COUNT }, (_, i) => ({ key: `key-${i % 7}`, value: `${label}:${i}:${'x'.repeat(100)}` }))
}

// expectInOrder: every label's records were read once, those of a key in the order they were sent.
export function expectInOrder (got, labels) {
  const flat = records => records.map(r => `${r.key} ${r.value}`).sort()
  assert.deepEqual(flat(got), flat(labels.flatMap(labelled)), 'records read are not those sent')
  const last = new Map()
  for (const { key, value } of got) {
    const [label, number] = value.split(':')
    assert.ok(Number(number) > (last.get(key + label) ?? -1), `${key} of ${label}: ${number} after ${last.get(key + label)}`)
    last.set(key + label, Number(number))
  }
}

export function crossRecords () {
  const all = []
  for (let i = 0; i < 8; i++) {
    for (let k = 0; k < 5; k++) all.push({ key: `k${k}`, value: `k${k}:${i}` })
  }
  return all
}

export function expectCrossed (got) {
  assert.deepEqual(byKey(got), byKey(crossRecords()), 'crossed records')
  return `${got.length} records, per key in order`
}

function byKey (records) {
  const values = {}
  for (const r of records) (values[r.key] ??= []).push(r.value)
  return values
}

export const random = size => randomBytes(size)
export { assert }
