"""Looks for what was delivered to buckets that are directories."""

import os
import time


def objects_below(directory, bucket, prefix):
    """The objects of a bucket whose key begins with prefix, as (key, bytes)."""
    base, found = os.path.join(directory, bucket), []
    for parent, _, names in os.walk(base):
        for name in names:
            path = os.path.join(parent, name)
            key = os.path.relpath(path, base)
            if key.startswith(prefix):
                with open(path, "rb") as f:
                    found.append((key, f.read()))
    return sorted(found)


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
