#!/usr/bin/env bash
# Apache Kafka's own command line tools: topics, configs of topics and brokers, console-producer and -consumer, consumer-groups, get-offsets, delete-records.
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

# said FORMATTER FILE: what __consumer_offsets says, a line for each record.
said() {
  tool console-consumer --topic __consumer_offsets --from-beginning --timeout-ms 10000 --formatter "org.apache.kafka.tools.consumer.$1" >"$work/said" 2>"$work/said.errors" ||
    true # it ends by its time
  sed 's/}{"key"/}\n{"key"/g' "$work/said" >"$2"
}

# The lag of a group as exporters compute it, from the topic of offsets and the ends of partitions, is what consumer-groups tells.
lag() {
  tool consumer-groups --describe --group "${PREFIX}group" >"$work/describe"
  said OffsetsMessageFormatter "$work/offsets"
  grep "\"group\":\"${PREFIX}group\"" "$work/offsets" | sed -n 's/.*"topic":"\([^"]*\)","partition":\([0-9]*\).*"offset":\([0-9]*\).*/\1:\2 \3/p' >"$work/last"
  tool get-offsets --topic "$main" --time -1 | sed 's/:\([0-9]*\)$/ \1/' >"$work/ends"
  expect "$(awk 'NR == FNR { at[$1] = $2; next } { print $1, at[$1], $2, $2 - at[$1] }' "$work/last" "$work/ends" | sort)" \
    "$(awk -v t="$main" '$2 == t { print $2 ":" $3, $4, $5, $6 }' "$work/describe" | sort)" "lag computed from the topic of offsets"
  said GroupMetadataMessageFormatter "$work/groups"
  grep "\"group\":\"${PREFIX}group\"" "$work/groups" | tail -n 1 | grep -q '"protocolType":"consumer".*"members":\[\]'
}

resume() {
  labelled later | produce "$main" none
  lag
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

# Transactions of producer-perf, listed and described; and one that is left open, found to hang and aborted where it does.
transactions() {
  local topic=${PREFIX}tx id=${PREFIX}tx
  tool topics --create --topic "$topic" >/dev/null
  timeout 60 "$TOOL" producer-perf-test --bootstrap-server "$KAFKA" --topic "$topic" --num-records 500 --record-size 100 --throughput 1000 \
    --transactional-id "$id" --transaction-duration-ms 100 >"$work/perf"
  grep -q '^500 records sent' "$work/perf"
  tool console-consumer --topic "$topic" --from-beginning --isolation-level read_committed --max-messages 500 --timeout-ms 20000 >"$work/committed"
  expect "$(wc -l <"$work/committed")" 500 "committed records"
  tool transactions list >"$work/list"
  expect "$(awk -v id="$id" '$1 == id { print $NF }' "$work/list")" CompleteCommit "state in the list"
  tool transactions list --transactional-id-pattern "${PREFIX}t." --duration-filter 0 >"$work/list"
  grep -q "^$id" "$work/list"
  tool transactions describe --transactional-id "$id" >"$work/describe"
  grep -q "CompleteCommit" "$work/describe"
  tool transactions describe-producers --topic "$topic" --partition 0 >"$work/producers"
  expect "$(awk 'NR == 2 { print $NF }' "$work/producers")" None "start of an open transaction"
  tool transactions find-hanging --topic "$topic" --partition 0 >"$work/hanging"
  expect "$(awk 'NR > 1' "$work/hanging")" "" "hanging transactions"
  tool topics --delete --topic "$topic"
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

# Configs of the broker and of all brokers: a topic has what they say (KIP-226). This one changes nothing for others.
brokers() {
  local key=log.segment.delete.delay.ms output
  tool configs --alter --entity-type brokers --entity-default --add-config "$key=50000" >/dev/null
  tool configs --alter --entity-type brokers --entity-name 1 --add-config "$key=40000" >/dev/null
  tool configs --describe --entity-type brokers --entity-name 1 >"$work/broker"
  grep -q "$key=40000 .*DYNAMIC_BROKER_CONFIG:$key=40000, DYNAMIC_DEFAULT_BROKER_CONFIG:$key=50000, DEFAULT_CONFIG:$key=60000" "$work/broker"
  tool configs --describe --all --entity-type topics --entity-name "$main" | grep -q 'file.delete.delay.ms=40000'
  tool configs --alter --entity-type brokers --entity-name 1 --delete-config "$key" >/dev/null
  tool configs --describe --all --entity-type topics --entity-name "$main" | grep -q 'file.delete.delay.ms=50000'
  tool configs --alter --entity-type brokers --entity-default --delete-config "$key" >/dev/null
  output=$(tool configs --alter --entity-type brokers --entity-name 1 --add-config num.partitions=3 2>&1) && expect "$output" "a refusal" "a config set at the start"
  grep -q 'Cannot update these configs dynamically: .num.partitions.' <<<"$output" || expect "$output" "a refusal by name" "a config set at the start"
  tool log-dirs --describe --topic-list "$main" | grep -q "\"$main-0\""
}

topics() {
  brokers
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
judge transactions transactions
judge errors refusals
judge topics topics
if [[ ${IN-} ]]; then
  judge from-kinesis from_kinesis
  cross_records | produce "$OUT" none
fi
