"""What the topic __consumer_offsets says, read as exporters of lag do: Kafka's OffsetCommitKey (0, 1) and the head of OffsetCommitValue (0 to 4)."""

import struct

TOPIC, PARTITIONS = "__consumer_offsets", 50


def _string(b, at):
    (n,) = struct.unpack_from(">h", b, at)
    return b[at + 2 : at + 2 + n].decode(), at + 2 + n


def committed(records, group):
    """Returns the last offset of each topic and partition of a group, from keys and values in order."""
    last = {}
    for key, value in records:
        (version,) = struct.unpack_from(">h", key)
        if version > 1:
            continue  # members
        of, at = _string(key, 2)
        topic, at = _string(key, at)
        (partition,) = struct.unpack_from(">i", key, at)
        if of != group:
            continue
        if value is None:
            last.pop((topic, partition), None)
        else:
            last[topic, partition] = struct.unpack_from(">hq", value)[1]
    return last
