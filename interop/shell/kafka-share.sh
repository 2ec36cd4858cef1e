#!/usr/bin/env bash
# Share groups with Apache Kafka's own command line tools: kafka-console-share-consumer, kafka-share-groups, kafka-configs of groups.
# TOOL is the program that runs them by name.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

main=${PREFIX}queue group=${PREFIX}share
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

queue() {
  tool topics --create --topic "$main" --partitions 3 >/dev/null
  labelled queue | tool console-producer --topic "$main" --reader-property parse.key=true --reader-property key.separator=$'\t'
  tool configs --alter --entity-type groups --entity-name "$group" --add-config share.auto.offset.reset=earliest >/dev/null
  tool console-share-consumer --topic "$main" --group "$group" --max-messages 60 --timeout-ms 30000 --formatter-property print.key=true >"$work/queue"
  in_order "$work/queue" queue
  tool share-groups --list | grep -qx "$group"
  tool share-groups --describe --group "$group" >"$work/described"
  expect "$(awk -v t="$main" '$2 == t { read += $4; lag += $5 } END { print read, lag }' "$work/described")" "60 0" "start offsets and lag"
  tool share-groups --reset-offsets --group "$group" --topic "$main" --to-earliest --execute >"$work/reset"
  expect "$(awk -v t="$main" '$2 == t { rows++; sum += $4 } END { print rows, sum }' "$work/reset")" "3 0" "start offsets after the reset"
  tool console-share-consumer --topic "$main" --group "$group" --max-messages 60 --timeout-ms 30000 --reject --formatter-property print.key=true >"$work/again"
  in_order "$work/again" queue
  tool share-groups --delete-offsets --group "$group" --topic "$main" >"$work/forgotten"
  grep -q "$main" "$work/forgotten"
  tool share-groups --delete --group "$group" >/dev/null
  if tool share-groups --list | grep -qx "$group"; then
    expect listed deleted "the share group after its deletion"
  fi
  echo "read, describe, reset, reject, delete offsets and group"
}

judge queue queue
