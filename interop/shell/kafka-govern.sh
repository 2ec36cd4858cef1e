#!/usr/bin/env bash
# Apache Kafka's tools on who may do what and how much: kafka-configs of users and quotas, kafka-acls, kafka-delegation-tokens.
# TOOL is the program that runs them by name; USER_NAME, who has no need of rules, comes in through PASSWORDS.
# shellcheck source=report.sh
source "$(dirname "$0")/report.sh"

topic=${PREFIX}governed
alice=${PREFIX}alice
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tool NAME ARGS...: as nobody, who may do everything.
tool() { timeout 60 "$TOOL" "$1" --bootstrap-server "$KAFKA" "${@:2}"; }

# as USER NAME ARGS...: as a user who comes in with the properties of that name.
as() { timeout 60 "$TOOL" "$2" --bootstrap-server "$PASSWORDS" --command-config "$work/$1.properties" "${@:3}"; }

# login FILE USER PASSWORD [OPTION]: properties of a user, or of one who has a token.
login() {
  cat >"$work/$1.properties" <<END
security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=$CA
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$2" password="$3" ${4-};
END
}

# refused ERROR COMMAND...: the command names the error; console-producer and console-consumer succeed all the same.
refused() {
  "${@:2}" >"$work/refused" 2>&1 </dev/null || true
  grep -q "$1" "$work/refused" || expect "$(<"$work/refused")" "$1" "the refusal of ${*:2}"
}

users() {
  tool topics --create --topic "$topic" --partitions 1 >/dev/null
  tool configs --alter --entity-type users --entity-name "$alice" --add-config 'SCRAM-SHA-512=[iterations=8192,password=first]' >/dev/null
  tool configs --describe --entity-type users --entity-name "$alice" >"$work/described"
  grep -q "SCRAM credential configs for user-principal '$alice' are SCRAM-SHA-512=iterations=8192" "$work/described"
  login alice "$alice" first
  as alice topics --describe --topic "$topic" >/dev/null
  tool configs --alter --entity-type users --entity-name "$alice" --add-config 'SCRAM-SHA-512=[password=second]' >/dev/null
  refused SaslAuthenticationException as alice topics --describe --topic "$topic"
  login alice "$alice" second
  as alice topics --describe --topic "$topic" >/dev/null
}

# Somebody else's rule shuts alice out, her own let her in again, and without them she is out as before.
acls() {
  local allow=(--allow-principal "User:$alice")
  tool acls --add --allow-principal User:somebody --operation All --topic "$topic" >/dev/null
  refused "TopicAuthorizationException: Not authorized to access topics: \[$topic\]" \
    as alice producer-perf-test --topic "$topic" --num-records 1 --record-size 10 --throughput -1
  refused TopicAuthorizationException as alice console-consumer --topic "$topic" --group "${PREFIX}readers-1" --timeout-ms 10000
  tool acls --add "${allow[@]}" --producer --topic "$topic" >/dev/null
  tool acls --add "${allow[@]}" --consumer --topic "${topic:0:-2}" --group "${PREFIX}readers" --resource-pattern-type prefixed >/dev/null
  tool acls --list --topic "$topic" --resource-pattern-type match --principal "User:$alice" >"$work/listed"
  expect "$(grep -o 'operation=[A-Z]*' "$work/listed" | sort | tr '\n' ' ')" \
    "operation=CREATE operation=DESCRIBE operation=DESCRIBE operation=READ operation=WRITE " "alice's rules"
  labelled allowed | as alice console-producer --topic "$topic" --reader-property parse.key=true --reader-property key.separator=$'\t'
  as alice console-consumer --topic "$topic" --group "${PREFIX}readers-1" --from-beginning --max-messages 60 --timeout-ms 30000 \
    --formatter-property print.key=true >"$work/got"
  in_order "$work/got" allowed
  tool acls --remove --force "${allow[@]}" --producer --topic "$topic" >/dev/null
  tool acls --remove --force --topic "${topic:0:-2}" --group "${PREFIX}readers" --resource-pattern-type prefixed >/dev/null
  refused "Topic '$topic' does not exist" as alice topics --describe --topic "$topic" # it is hidden from her
  tool acls --remove --force --topic "$topic" >/dev/null
  expect "$(tool acls --list --topic "$topic" | grep -c operation=)" 0 "rules that are left"
  as alice topics --describe --topic "$topic" >/dev/null
}

tokens() {
  local id secret
  login judge "$USER_NAME" "$USER_PASSWORD"
  as alice delegation-tokens --create --max-life-time-period 3600000 --renewer-principal "User:$USER_NAME" >"$work/created"
  read -r id secret _ < <(tail -n 1 "$work/created")
  as alice delegation-tokens --describe --owner-principal "User:$alice" >"$work/described"
  grep "^$id " "$work/described" | grep -q "User:$alice *User:$alice *\[User:$USER_NAME\]"
  login token "$id" "$secret" tokenauth=true
  labelled token | as token console-producer --topic "$topic"
  refused UnsupportedByAuthenticationException as token delegation-tokens --create --max-life-time-period -1
  as judge delegation-tokens --renew --renew-time-period 60000 --hmac "$secret" >"$work/renewed"
  as judge delegation-tokens --expire --expiry-time-period -1 --hmac "$secret" >"$work/expired"
  refused SaslAuthenticationException as token topics --describe --topic "$topic"
  as alice delegation-tokens --describe --owner-principal "User:$alice" >"$work/described"
  expect "$(grep -c "^$id " "$work/described")" 0 "tokens that are left"
}

# written_fast: alice writes half a megabyte; it says how many milliseconds one request had to wait at most, by her producer's own
# metrics, and how many seconds all took.
written_fast() {
  as alice producer-perf-test --command-property "client.id=${PREFIX}app" --topic "$topic" --num-records 500 --record-size 1000 --throughput -1 \
    --print-metrics >"$work/perf"
  awk '/^producer-metrics:produce-throttle-time-max/ { wait = $NF }
    /^500 records sent/ { rate = $4 } END { printf "%d %d\n", wait, 500 / rate }' "$work/perf"
}

# A quota lets ten seconds' worth come at once, 300 kB of the 500; the rest takes 6 s.
quotas() {
  local entity wait took
  for entity in "users --entity-name $alice" "clients --entity-name ${PREFIX}app"; do
    # shellcheck disable=SC2086 # an entity is several words
    set -- --entity-type $entity
    tool configs --alter "$@" --add-config producer_byte_rate=30000 >/dev/null
    tool configs --describe "$@" | grep -q 'producer_byte_rate=30000'
    read -r wait took < <(written_fast)
    ((wait > 0 && took >= 5)) || expect "$wait ms, $took s" "5 s and more" "what 500 kB take"
    tool configs --alter "$@" --delete-config producer_byte_rate >/dev/null
    echo "of ${entity%% *} $took s,"
  done
  read -r wait took < <(written_fast)
  expect "$wait" 0 "milliseconds of waiting without a quota"
  echo "without $took s"
}

judge users users
judge acls acls
judge tokens tokens
judge quotas quotas
