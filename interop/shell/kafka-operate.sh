#!/usr/bin/env bash
# Apache Kafka's tools for operators, as far as one broker has work for them. TOOL is the program that runs them by name.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

topic=${PREFIX}operated
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

# says PATTERN NAME ARGS...: the tool succeeds, and says so.
says() {
  tool "${@:2}" >"$work/said" || return
  grep -Eq -- "$1" "$work/said" || expect "$(<"$work/said")" "$1" "what ${*:2} says"
}

node() {
  says '^127.0.0.1:[0-9]+ \(id: 1 .*' broker-api-versions
  timeout 60 "$TOOL" cluster cluster-id --bootstrap-server "$KAFKA" | grep -Eq '^Cluster ID: .{22}$' # takes its arguments in this order
  timeout 60 "$TOOL" cluster list-endpoints --bootstrap-server "$KAFKA" | grep -Eq '^1 +127.0.0.1 .*unfenced +broker'
  says 'group.version.*FinalizedVersionLevel: 1' features describe
  says 'transaction.version can be upgraded to 2' features upgrade --feature transaction.version=2 --dry-run
  says '^LeaderId: +1$' metadata-quorum describe --status
  says '^1 .*Leader' metadata-quorum describe --replication
}

# load writes 200 records to the topic, and sees how long it takes until one is read.
load() {
  tool topics --create --topic "$topic" --partitions 2 >/dev/null
  says '"name":"tool_data","sent":200,"acked":200' verifiable-producer --topic "$topic" --max-messages 200 --acks -1
  expect "$(tool get-offsets --topic "$topic" | awk -F : '{ sum += $3 } END { print sum }')" 200 "records"
  says '^Avg latency: [0-9.]+ ms' end-to-end-latency --topic "${PREFIX}latency" --num-records 50 --producer-acks all --record-size 100
  grep -E '^Avg' "$work/said"
}

# Nothing can move, which the tools find and say; rates that hold back what moves are set and taken back.
replicas() {
  printf '{"version": 1, "topics": [{"topic": "%s"}]}' "$topic" >"$work/topics.json"
  says '"replicas":\[1\]' reassign-partitions --generate --topics-to-move-json-file "$work/topics.json" --broker-list 1
  tail -n 1 "$work/said" >"$work/plan.json"
  says "Successfully started partition reassignments for $topic-0,$topic-1" \
    reassign-partitions --execute --reassignment-json-file "$work/plan.json" --throttle 1000000
  says 'leader.replication.throttled.rate=1000000 ' configs --describe --entity-type brokers --entity-name 1
  says "Reassignment of partition $topic-1 is completed" reassign-partitions --verify --reassignment-json-file "$work/plan.json"
  expect "$(tool configs --describe --entity-type brokers --entity-name 1 | grep -c throttled)" 0 "rates that are left"
  says '^No partition reassignments found' reassign-partitions --list
  says "Valid replica already elected for partitions $topic-0" leader-election --election-type preferred --topic "$topic" --partition 0
  says "\"partition\":\"$topic-[01]\",\"size\":[1-9][0-9]*,\"offsetLag\":0" log-dirs --describe --topic-list "$topic"
}

# Groups of each kind that members were in, read to the end by both.
roles() {
  says '"name":"shutdown_complete"' verifiable-consumer --topic "$topic" --group-id "${PREFIX}readers" --max-messages 200 \
    --reset-policy earliest --group-protocol consumer
  expect "$(counted records_consumed)" 200 "records that the consumer read"
  says '"name":"shutdown_complete"' verifiable-share-consumer --topic "$topic" --group-id "${PREFIX}sharers" --max-messages 200 \
    --offset-reset-strategy earliest --acknowledgement-mode sync
  expect "$(counted offsets_acknowledged)" 200 "records that the share consumer acknowledged"
  says "^${PREFIX}readers +Consumer +consumer" groups --list
  grep -Eq "^${PREFIX}sharers +Share +share" "$work/said"
  expect "$(tool groups --list --share | awk -v g="$PREFIX" 'index($1, g) == 1 { print $1 }')" "${PREFIX}sharers" "share groups"
  expect "$(tool streams-groups --list | grep -c "$PREFIX")" 0 "streams groups"
  tool topics --delete --topic "$topic"
}

# counted NAME: the sum of counts in events of that name.
counted() { sed -n "s/.*\"name\":\"$1\",\"count\":\([0-9]*\),.*/\1/p" "$work/said" | awk '{ sum += $1 } END { print sum }'; }

judge node node
judge load load
judge replicas replicas
judge roles roles
