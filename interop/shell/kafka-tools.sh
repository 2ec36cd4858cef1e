#!/usr/bin/env bash
# Apache Kafka's own command line tools: topics, configs, console-producer and -consumer, consumer-groups, get-offsets, delete-records.
# TOOL is the program that runs them by name.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

main=${PREFIX}main large=${PREFIX}large
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

produce() { # topic codec
  tool console-producer --topic "$1" --compression-codec "$2" --reader-property parse.key=true --reader-property key.separator=$'\t'
}

# consume TOPIC GROUP COUNT FILE
consume() {
  tool console-consumer --topic "$1" --group "$2" --from-beginning --max-messages "$3" --timeout-ms 30000 \
    --formatter-property print.key=true >"$4"
}

codecs() {
  tool topics --create --topic "$main" --partitions 3 >/dev/null
  for codec in none gzip snappy lz4 zstd; do
    labelled "$codec" | produce "$main" "$codec"
  done
  echo none gzip snappy lz4 zstd
}

group() {
  consume "$main" "${PREFIX}group" 300 "$work/group"
  in_order "$work/group" none gzip snappy lz4 zstd
  tool consumer-groups --describe --group "${PREFIX}group" >"$work/describe"
  expect "$(awk -v t="$main" '$2 == t { lag += $6; rows++ } END { print rows, lag }' "$work/describe")" "3 0" "partitions and lag of the group"
}

resume() {
  labelled later | produce "$main" none
  consume "$main" "${PREFIX}group" 60 "$work/resume"
  in_order "$work/resume" later
  tool consumer-groups --reset-offsets --group "${PREFIX}group" --topic "$main" --to-earliest --execute >"$work/reset"
  expect "$(awk -v t="$main" '$2 == t { sum += $4 } END { print sum }' "$work/reset")" 0 "offsets after the reset"
  tool consumer-groups --delete --group "${PREFIX}group" >/dev/null
  if tool consumer-groups --list | grep -qx "${PREFIX}group"; then
    expect listed deleted "the group after its deletion"
  fi
}

total() { awk -F : '{ sum += $3 } END { print sum }'; }

# Offsets by time, the end, and the start after delete-records.
by_time() {
  expect "$(tool get-offsets --topic "$main" --time -1 | total)" 360 "records"
  expect "$(tool get-offsets --topic "$main" --time 0 | total)" 0 "offsets at the epoch"
  local end
  end=$(tool get-offsets --topic-partitions "$main:0" --time latest | cut -d : -f 3)
  echo "{\"version\": 1, \"partitions\": [{\"topic\": \"$main\", \"partition\": 0, \"offset\": $((end - 1))}]}" >"$work/delete.json"
  tool delete-records --offset-json-file "$work/delete.json" | grep -q "low_watermark: $((end - 1))"
  expect "$(tool get-offsets --topic-partitions "$main:0" --time earliest | cut -d : -f 3)" $((end - 1)) "start after delete-records"
}

large() {
  head -c 750000 /dev/urandom | base64 -w 0 >"$work/large"
  tool topics --create --topic "$large" --config max.message.bytes=1200000 >/dev/null
  tool console-producer --topic "$large" --command-property max.request.size=4000000 --max-memory-bytes 33554432 <"$work/large"
  tool console-consumer --topic "$large" --from-beginning --max-messages 1 --timeout-ms 30000 | tr -d '\n' >"$work/back"
  cmp "$work/large" "$work/back"
}

refusals() {
  local output
  output=$(tool topics --create --topic "$main" 2>&1) && expect "$output" "a refusal" "a second creation"
  grep -q TopicExistsException <<<"$output" || expect "$output" TopicExistsException "refusal of a second creation"
  output=$(tool topics --describe --topic "${PREFIX}absent" 2>&1) && expect "$output" "a refusal" "an unknown topic"
  output=$(tool topics --create --topic 'bad name' 2>&1) && expect "$output" "a refusal" "a bad name"
  grep -q InvalidTopicException <<<"$output" || expect "$output" InvalidTopicException "refusal of a bad name"
  output=$(tool configs --alter --entity-type topics --entity-name "$main" --add-config retention.ms=soon 2>&1) &&
    expect "$output" "a refusal" "a bad setting"
  grep -q InvalidConfigurationException <<<"$output" || expect "$output" InvalidConfigurationException "refusal of a bad setting"
}

topics() {
  tool topics --describe --topic "$main" | grep -q 'PartitionCount: 3'
  tool topics --alter --topic "$main" --partitions 5
  tool topics --describe --topic "$main" | grep -q 'PartitionCount: 5'
  tool configs --alter --entity-type topics --entity-name "$main" --add-config retention.ms=3600000 >/dev/null
  tool configs --describe --entity-type topics --entity-name "$main" | grep -q 'retention.ms=3600000'
  tool topics --delete --topic "$main"
  tool topics --delete --topic "$large"
  if tool topics --list | grep -qx "$main"; then
    expect listed deleted "the topic after its deletion"
  fi
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
judge errors refusals
judge topics topics
if [[ ${IN-} ]]; then
  judge from-kinesis from_kinesis
  cross_records | produce "$OUT" none
fi
