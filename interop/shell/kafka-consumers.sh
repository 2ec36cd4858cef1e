#!/usr/bin/env bash
# Apache Kafka's tools on consumer groups of KIP-848: console-consumer as a member, consumer-groups, configs of groups.
# TOOL is the program that runs them by name.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

topic=${PREFIX}tooled group=${PREFIX}tooled
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

# until_read LINES FILE: so many lines are in the file, within 30 seconds.
until_read() {
  for ((i = 0; i < 300; i++)); do
    [[ $(wc -l <"$2") -ge $1 ]] && return
    sleep 0.1
  done
  expect "$(wc -l <"$2")" "$1" "records that came"
}

shares() {
  tool topics --create --topic "$topic" --partitions 3 >/dev/null
  labelled shared | tool console-producer --topic "$topic" --reader-property parse.key=true --reader-property key.separator=$'\t'
  tool configs --alter --entity-type groups --entity-name "$group" --add-config consumer.session.timeout.ms=50000 >/dev/null
  tool configs --describe --entity-type groups --entity-name "$group" >"$work/configs"
  grep -q 'consumer.session.timeout.ms=50000' "$work/configs"
  tool console-consumer --topic "$topic" --group "$group" --from-beginning --command-property group.protocol=consumer \
    --formatter-property print.key=true >"$work/got" 2>"$work/errors" &
  local member=$!
  until_read 60 "$work/got"
  tool consumer-groups --describe --group "$group" --state >"$work/state"
  tool consumer-groups --describe --group "$group" --members --verbose >"$work/members"
  kill "$member" # it commits what it read, and leaves
  wait "$member" || true
  in_order "$work/got" shared
  grep -q "uniform *Stable *1" "$work/state"
  expect "$(awk -v g="$group" '$1 == g { print $5 }' "$work/members")" 3 "partitions of the member"
  tool consumer-groups --list --type consumer >"$work/groups"
  grep -q "$group *Consumer" "$work/groups"
  tool consumer-groups --describe --group "$group" >"$work/offsets"
  expect "$(awk -v t="$topic" '$2 == t { lag += $6; rows++ } END { print rows, lag }' "$work/offsets")" "3 0" "partitions and lag"
  tool consumer-groups --reset-offsets --group "$group" --topic "$topic" --to-earliest --execute >/dev/null
  tool consumer-groups --delete --group "$group" >/dev/null
  tool topics --delete --topic "$topic"
}

judge shares shares
none patterns "the tools subscribe to names"
none static "the tools have none"
none migration "one member at a time"
