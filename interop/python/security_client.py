"""confluent-kafka-python through listeners of every kind; MSK's signer for access keys."""

import os
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from report import PREFIX, expect, judge

CA = {"ssl.ca.location": os.environ["CA"]}


def password(mechanism, word=os.environ["USER_PASSWORD"]):
    return {
        "bootstrap.servers": os.environ["PASSWORDS"], "security.protocol": "SASL_SSL", "sasl.mechanism": mechanism,
        "sasl.username": os.environ["USER_NAME"], "sasl.password": word, **CA,
    }


def bearer(listener, callback):
    return {
        "bootstrap.servers": os.environ[listener], "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": callback, **CA,
    }


def token(_):
    return os.environ["TOKEN"], time.time() + 3000


def signed(_):
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    value, expiry = MSKAuthTokenProvider.generate_auth_token("us-east-1")
    return value, expiry / 1000


def forged(_):
    head, claims, signature = os.environ["TOKEN"].split(".")
    return ".".join([head, claims, signature[::-1]]), time.time() + 3000


def round_trip(name, config):
    topic = PREFIX + name
    admin = AdminClient(config)
    admin.poll(1)  # calls back for a token
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer(config)
    producer.produce(topic, key="key", value=f"value of {name}")
    expect(producer.flush(30), 0, "records not delivered")
    consumer = Consumer({**config, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        m = consumer.poll(0.5)
        if m and not m.error():
            expect(m.value().decode(), f"value of {name}", "the record read back")
            consumer.close()
            return "a record there and back"
    raise AssertionError("no record came back")


def refused(name, config, reason):
    errors = []
    admin = AdminClient({**config, "error_cb": lambda e: errors.append(str(e))})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not any(reason in e for e in errors):
        admin.poll(0.5)
    if not any(reason in e for e in errors):
        raise AssertionError(f"{name}: {errors} without {reason!r}")


def scram():
    round_trip("scram256", password("SCRAM-SHA-256"))
    return round_trip("scram512", password("SCRAM-SHA-512"))


def denied():
    for mechanism in "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
        refused(mechanism, password(mechanism, "wrong"), "uthentication")
    refused("a forged token", bearer("TOKENS", forged), "invalid_token")
    refused("no certificate", {"bootstrap.servers": os.environ["MTLS"], "security.protocol": "SSL", **CA}, "SSL")
    return "wrong passwords, a forged token, no certificate"


judge("tls", lambda: round_trip("tls", {"bootstrap.servers": os.environ["TLS"], "security.protocol": "SSL", **CA}))
judge("mtls", lambda: round_trip("mtls", {
    "bootstrap.servers": os.environ["MTLS"], "security.protocol": "SSL", "ssl.certificate.location": os.environ["CLIENT_CERT"],
    "ssl.key.location": os.environ["CLIENT_KEY"], **CA,
}))
judge("plain", lambda: round_trip("plain", password("PLAIN")))
judge("scram", scram)
judge("token", lambda: round_trip("token", bearer("TOKENS", token)))
judge("iam", lambda: round_trip("iam", bearer("IAM", signed)))
judge("denied", denied)
