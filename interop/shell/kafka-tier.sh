#!/usr/bin/env bash
# Apache Kafka's tools on a topic whose older records move to objects (KIP-405). TOOL is the program that runs them by name.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

topic=${PREFIX}tiered
records=6000 # of 1 KiB, in segments of 1 MiB
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

# offset TIME: what get-offsets says of the topic's one partition.
offset() { tool get-offsets --topic "$topic" --time "$1" | awk -F : '{ print $3 }'; }

# read_all: the topic is read from its beginning into a file, and how many records those are is said.
read_all() {
  tool console-consumer --topic "$topic" --from-beginning --max-messages "$records" --timeout-ms 30000 >"$work/got"
  expect "$(md5sum <"$work/got")" "$(numbered | md5sum)" "records ($(wc -l <"$work/got") lines)"
}

# numbered: lines of a kilobyte, each another.
numbered() { awk -v n="$records" 'BEGIN { x = sprintf("%1015s", ""); gsub(" ", "x", x); for (i = 0; i < n; i++) printf "%08d%s\n", i, x }'; }

moved() {
  tool topics --create --topic "$topic" --partitions 1 --config remote.storage.enable=true --config segment.bytes=1048576 --config local.retention.bytes=1 >/dev/null
  numbered | tool console-producer --topic "$topic"
  local local_start
  for ((i = 0; i < 20; i++)); do
    local_start=$(offset -4)
    ((local_start > 0)) && break
    sleep 0.5
  done
  ((local_start > records / 2)) || { echo "the log begins at $local_start" >&2; return 1; }
  expect "$(offset -5)" "$((local_start - 1))" "last offset in an object"
  expect "$(offset -2)" 0 "first offset"
  echo "$local_start of $records records"
}

old_records() { read_all; }

trimmed() {
  printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 1500}]}' "$topic" >"$work/delete.json"
  tool delete-records --offset-json-file "$work/delete.json" >"$work/deleted"
  expect "$(offset -2)" 1500 "first offset after DeleteRecords"
  tool console-consumer --topic "$topic" --from-beginning --max-messages $((records - 1500)) --timeout-ms 30000 >"$work/rest"
  expect "$(md5sum <"$work/rest")" "$(numbered | tail -n +1501 | md5sum)" "records that are left"
}

disabled() {
  if tool configs --alter --entity-type topics --entity-name "$topic" --add-config remote.storage.enable=false >"$work/refused" 2>&1; then
    echo "objects were given up without being asked to" >&2
    return 1
  fi
  grep -q "remote.log.delete.on.disable" "$work/refused"
  tool configs --alter --entity-type topics --entity-name "$topic" --add-config remote.storage.enable=false,remote.log.delete.on.disable=true >/dev/null
  expect "$(offset -2)" "$(offset -4)" "first offset of what is left, and of the log"
  tool topics --delete --topic "$topic"
}

judge moved moved
judge old-records old_records
judge trimmed trimmed
judge disabled disabled
