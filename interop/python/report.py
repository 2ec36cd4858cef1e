"""What the Python scenarios share: how a finding is reported, and the records of the crossing (see cross.go)."""

import collections
import os
import traceback

KAFKA = os.environ.get("KAFKA", "")
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "")
PREFIX = os.environ["PREFIX"]
IN = os.environ.get("IN", "")
OUT = os.environ.get("OUT", "")
OBJECTS = os.environ.get("OBJECTS", "")

CROSS_KEYS, CROSS_PER_KEY = 5, 8


def say(capability, verdict, detail=""):
    print("@", capability, verdict, " ".join(str(detail).split())[:400], flush=True)


def judge(capability, scenario):
    """Runs one capability's scenario: what it returns is the detail of an ok, what it raises that of a failure."""
    try:
        say(capability, "ok", scenario() or "")
    except Exception as e:
        traceback.print_exc()
        say(capability, "fail", f"{type(e).__name__}: {e}")


def expect(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


def cross_records():
    return [(f"k{k}", f"k{k}:{i}") for i in range(CROSS_PER_KEY) for k in range(CROSS_KEYS)]


def expect_crossed(got):
    """got: (key, value) strings in the order read. Every record once, those of a key in order."""
    by_key = collections.defaultdict(list)
    for key, value in got:
        by_key[key].append(value)
    want = collections.defaultdict(list)
    for key, value in cross_records():
        want[key].append(value)
    expect(dict(by_key), dict(want), "crossed records")
    return f"{len(got)} records, per key in order"


def keyed(label, count, keys=7):
    """The records that a codec is judged with: count values of `keys` keys, numbered, long enough to be worth compressing."""
    return [(f"key-{i % keys}", f"{label}:{i:06d}:" + "x" * 100) for i in range(count)]


def expect_in_order(got, labels, count):
    """got: (key, value) strings. Every label's records once, those of a key in the order they were sent."""
    want = collections.Counter(r for label in labels for r in keyed(label, count))
    expect(collections.Counter(got) - want, collections.Counter(), "records beyond those sent")
    expect(want - collections.Counter(got), collections.Counter(), "records missing")
    last = {}
    for key, value in got:
        label, number, _ = value.split(":", 2)
        if last.get((key, label), -1) >= int(number):
            raise AssertionError(f"{key} of {label}: {number} after {last[key, label]}")
        last[key, label] = int(number)
