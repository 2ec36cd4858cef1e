#!/usr/bin/env bash
# kcat, with the librdkafka that Debian carries (2.0 in bookworm). It makes topics by producing to them, which gives the server's default number
# of partitions, and deletes none.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

main=${PREFIX}main times=${PREFIX}time large=${PREFIX}large
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

loud() { timeout 60 kcat -b "$KAFKA" "$@"; }
kc() { loud -q "$@"; }

produce() { kc -P -t "$1" -K $'\t' -X acks=all "${@:2}"; }

# consume TOPIC GROUP COUNT FILE: as a member of a group; kcat commits when it leaves.
consume() {
  kc -G "$2" -c "$3" -X auto.offset.reset=earliest -f '%k\t%s\n' "$1" >"$4"
}

codecs() {
  for codec in none gzip snappy lz4 zstd; do
    labelled "$codec" | produce "$main" -z "$codec"
  done
  echo none gzip snappy lz4 zstd
}

group() {
  consume "$main" "${PREFIX}group" 300 "$work/group"
  in_order "$work/group" none gzip snappy lz4 zstd
}

resume() {
  labelled later | produce "$main" -X enable.idempotence=true
  consume "$main" "${PREFIX}group" 60 "$work/resume"
  in_order "$work/resume" later
}

by_time() {
  echo one | kc -P -t "$times"
  sleep 0.05
  local at
  at=$(date +%s%3N)
  sleep 0.05
  echo two | kc -P -t "$times"
  expect "$(kc -Q -t "$times:0:$at")" "$times [0] offset 1" "offset at a time"
  expect "$(kc -C -t "$times" -p 0 -o "s@$at" -e)" two "records from that time"
}

large() {
  head -c 750000 /dev/urandom | base64 -w 0 >"$work/large"
  kc -P -t "$large" -X message.max.bytes=1048576 "$work/large"
  kc -C -t "$large" -p 0 -o beginning -c 1 -f %s >"$work/back"
  cmp "$work/large" "$work/back"
}

refusals() {
  head -c 2250000 /dev/urandom | base64 -w 0 >"$work/toolarge"
  local output
  if output=$(loud -P -t "$large" -X message.max.bytes=8000000 "$work/toolarge" 2>&1); then
    expect "$output" "a refusal" "a record of 3 MB"
  fi
  grep -qi 'message size too large' <<<"$output" || expect "$output" 'Message size too large' 'refusal of a record of 3 MB'
}

topics() {
  kc -L -t "$main" >"$work/list"
  grep -q "topic \"$main\" with [0-9]* partitions" "$work/list" || expect "$(<"$work/list")" "topic $main" listing
  echo "created by producing; kcat deletes none"
}

from_kinesis() {
  consume "$IN" "${PREFIX}in" 40 "$work/in"
  crossed "$work/in"
}

judge codecs codecs
judge group group
judge resume resume
judge time by_time
judge large large
none transactions 'kcat has none'
judge errors refusals
judge topics topics
if [[ ${IN-} ]]; then
  judge from-kinesis from_kinesis
  cross_records | produce "$OUT"
fi
