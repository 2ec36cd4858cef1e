"""Metrics of librdkafka (KIP-714), by confluent-kafka-python; who subscribes to them is kafka-client-metrics. TOOL runs it by name."""

import os
import subprocess
import time
import urllib.request

from confluent_kafka import Producer

from report import ENDPOINT, KAFKA, PREFIX, expect, judge

SUBSCRIPTION, CLIENT = PREFIX + "sub", PREFIX + "producer"


def tool(*args):
    ran = subprocess.run(["bash", os.environ["TOOL"], "client-metrics", "--bootstrap-server", KAFKA, *args], capture_output=True, text=True, timeout=60)
    if ran.returncode != 0:
        raise AssertionError(f"client-metrics {args}: {ran.stdout} {ran.stderr}")
    return ran.stdout


def subscribed():
    tool("--alter", "--name", SUBSCRIPTION, "--metrics", "*", "--interval", "500", "--match", f"client_id={CLIENT}")
    described = tool("--describe", "--name", SUBSCRIPTION)
    for setting in ("interval.ms=500", f"match=client_id={CLIENT}", "metrics=*"):
        if setting not in described:
            raise AssertionError(f"{setting} is not in {described}")
    expect(SUBSCRIPTION in tool("--list").split(), True, "listed")
    made = tool("--alter", "--generate-name", "--metrics", "org.apache.kafka.none")
    expect("Altered client metrics config for" in made, True, "a name made up")
    tool("--delete", "--name", made.rstrip(".\n").split()[-1])
    return "altered, described, listed, a name made up"


def pushed():
    producer = Producer({"bootstrap.servers": KAFKA, "client.id": CLIENT})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        producer.produce(PREFIX + "pushed", b"x")
        producer.poll(0.1)
        with urllib.request.urlopen(ENDPOINT + "/metrics") as page:
            mine = [line for line in page.read().decode().splitlines() if f'client_id="{CLIENT}"' in line]
        if any(line.startswith("freshet_kafka_client_producer_request_latency_avg") for line in mine):
            expect(any("confluent-kafka-python" in line for line in mine), True, "what the client says of itself")
            return f"{len(mine)} series of the producer"
    raise AssertionError(f"not shown: {mine}")


def unsubscribed():
    tool("--delete", "--name", SUBSCRIPTION)
    expect(SUBSCRIPTION in tool("--list").split(), False, "listed")
    return "deleted"


judge("subscribed", subscribed)
judge("pushed", pushed)
judge("unsubscribed", unsubscribed)
