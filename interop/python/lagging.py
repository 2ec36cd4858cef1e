"""A group that is behind, for those who tell how far groups are."""

import socket
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from report import KAFKA, PREFIX, expect

TOPIC, GROUP = PREFIX + "lagged", PREFIX + "behind"
COUNT, READ = 100, 40


class Behind:
    """A topic of three partitions, with COUNT records in the first of them, and a member of a group that reads it."""

    def __enter__(self):
        admin = AdminClient({"bootstrap.servers": KAFKA})
        admin.create_topics([NewTopic(TOPIC, 3, 1)])[TOPIC].result(20)
        producer = Producer({"bootstrap.servers": KAFKA})
        for _ in range(COUNT):
            producer.produce(TOPIC, b"x", partition=0)
        expect(producer.flush(30), 0, "records not delivered")
        self.consumer = Consumer(
            {"bootstrap.servers": KAFKA, "group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False})
        self.consumer.subscribe([TOPIC])
        self.lag = COUNT
        return self

    def __exit__(self, *_):
        self.consumer.close()

    def read(self, count=READ):
        """Reads records and commits each."""
        read, deadline = 0, time.monotonic() + 30
        while read < count and time.monotonic() < deadline:
            message = self.consumer.poll(0.2)
            if message is not None and not message.error():
                read += 1
                self.consumer.commit(message, asynchronous=False)
        expect(read, count, "records read")
        self.lag -= count


def await_told(told, want, patience=90):
    """Waits until an exporter tells what is true: it looks once in a while."""
    deadline, got = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        try:
            got = told()
        except OSError as e:  # it does not serve yet
            got = e
        if got == want:
            return
        time.sleep(0.2)
    raise AssertionError(f"told {got!r} instead of {want!r}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
