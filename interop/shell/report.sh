# shellcheck shell=bash
# What the shell scenarios share: how a finding is reported, and the records of the crossing (see cross.go).
set -uo pipefail

# judge CAPABILITY FUNCTION: what the function prints is the detail of an ok; its failure is one with its last lines of stderr.
judge() {
  local detail errors code
  errors=$(mktemp)
  detail=$(set -e; "$2" 2>"$errors") # not inside a condition, where bash would not heed set -e
  code=$?
  if [[ $code == 0 ]]; then
    echo "@ $1 ok $(tr '\n' ' ' <<<"$detail")"
  else
    echo "@ $1 fail $(tail -n 5 "$errors" | tr -s '\n\t ' ' ') $(tail -n 2 <<<"$detail" | tr '\n' ' ')"
  fi
  cat "$errors" >&2
  rm -f "$errors"
}

none() { echo "@ $1 none $2"; }

# expect GOT WANT WHAT
expect() {
  [[ $1 == "$2" ]] || {
    echo "$3: '${1:0:200}' instead of '${2:0:200}'" >&2
    return 1
  }
}

# labelled LABEL: 60 lines "key-K<tab>LABEL:NUMBER:xxx" of seven keys.
labelled() {
  awk -v label="$1" 'BEGIN { x = sprintf("%100s", ""); gsub(" ", "x", x); for (i = 0; i < 60; i++) printf "key-%d\t%s:%d:%s\n", i % 7, label, i, x }'
}

# in_order FILE LABEL...: the labels' records are in FILE once each, those of a key in the order they were sent.
in_order() {
  local file=$1 label
  shift
  expect "$(sort "$file" | md5sum)" "$(for label in "$@"; do labelled "$label"; done | sort | md5sum)" "records ($(wc -l <"$file") lines)"
  awk -F '[\t:]' '{ k = $1 "/" $2; if (k in last && last[k] >= $3) { print "order of " k ": " $3 " after " last[k] > "/dev/stderr"; exit 1 } last[k] = $3 }' "$file"
}

cross_records() {
  for i in {0..7}; do for k in {0..4}; do printf 'k%d\tk%d:%d\n' "$k" "$k" "$i"; done; done
}

# crossed FILE: a crossing's records are in FILE once each, those of a key in order.
crossed() {
  expect "$(sort -s -k 1,1 "$1")" "$(cross_records | sort -s -k 1,1)" "crossed records"
  echo "$(wc -l <"$1") records, per key in order"
}
