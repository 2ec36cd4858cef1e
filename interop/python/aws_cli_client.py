"""The AWS CLI, as a program: every step is a command that a user types."""

import base64
import json
import os
import re
import tempfile

from aws_cli import Refused, aws
from delivered import objects_below, wait_for
from report import IN, OBJECTS, OUT, PREFIX, cross_records, expect, expect_crossed, judge, say

NAME = PREFIX + "stream"


def put():
    aws("kinesis", "create-stream", stream_name=NAME, shard_count="1")
    aws("kinesis", "wait", "stream-exists", stream_name=NAME)
    first = aws("kinesis", "put-record", stream_name=NAME, partition_key="a", data="one")
    entries = [{"PartitionKey": "a", "Data": t} for t in ("two", "three")]
    rest = aws("kinesis", "put-records", stream_name=NAME, records=entries)
    expect(rest["FailedRecordCount"], 0, "failed records")
    expect(int(rest["Records"][1]["SequenceNumber"]) > int(first["SequenceNumber"]), True, "sequence numbers grow")


def read_all(name):
    got = []
    for shard in aws("kinesis", "list-shards", stream_name=name)["Shards"]:
        iterator = aws("kinesis", "get-shard-iterator", stream_name=name, shard_id=shard["ShardId"],
                       shard_iterator_type="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            page = aws("kinesis", "get-records", shard_iterator=iterator)
            got += [(r["PartitionKey"], base64.b64decode(r["Data"]).decode()) for r in page["Records"]]
            if page["MillisBehindLatest"] == 0:
                break
            iterator = page.get("NextShardIterator")
    return got


def read():
    expect(read_all(NAME), [("a", "one"), ("a", "two"), ("a", "three")], "records")


def refusals():
    try:
        aws("kinesis", "describe-stream", stream_name=PREFIX + "absent")
    except Refused as e:
        found = re.search(r"An error occurred \(ResourceNotFoundException\).*Stream \S+ under account \d{12} not found\.", str(e))
        expect(bool(found), True, str(e))
        return
    raise AssertionError("an absent stream was described")


def streams():
    expect(NAME in aws("kinesis", "list-streams")["StreamNames"], True, "listed")
    aws("kinesis", "add-tags-to-stream", stream_name=NAME, tags="team=a")
    expect(aws("kinesis", "list-tags-for-stream", stream_name=NAME)["Tags"], [{"Key": "team", "Value": "a"}], "tags")
    aws("kinesis", "increase-stream-retention-period", stream_name=NAME, retention_period_hours="48")
    summary = aws("kinesis", "describe-stream-summary", stream_name=NAME)["StreamDescriptionSummary"]
    expect((summary["RetentionPeriodHours"], summary["StreamStatus"]), (48, "ACTIVE"), "retention and status")
    aws("kinesis", "delete-stream", stream_name=NAME)
    aws("kinesis", "wait", "stream-not-exists", stream_name=NAME)


def firehose():
    name, bucket = PREFIX + "delivery", "cli-bucket"
    destination = {
        "BucketARN": "arn:aws:s3:::" + bucket, "RoleARN": "arn:aws:iam::000000000000:role/delivery",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
    }
    aws("firehose", "create-delivery-stream", delivery_stream_name=name, delivery_stream_type="DirectPut",
        extended_s3_destination_configuration=destination)

    def active():
        described = aws("firehose", "describe-delivery-stream", delivery_stream_name=name)["DeliveryStreamDescription"]
        return described["DeliveryStreamStatus"] == "ACTIVE"

    wait_for(active, 20, "the delivery stream becomes active")
    aws("firehose", "put-record", delivery_stream_name=name, record={"Data": "zero\n"})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump([{"Data": f"{i}\n"} for i in range(20)], f)
        f.flush()
        answer = aws("firehose", "put-record-batch", delivery_stream_name=name, records="file://" + f.name)
    expect(answer["FailedPutCount"], 0, "failed records")
    want = sorted(["zero"] + [str(i) for i in range(20)])

    def delivered():
        return sorted(line for _, body in objects_below(OBJECTS, bucket, "") for line in body.decode().split()) == want

    wait_for(delivered, 30, "21 records are delivered, each once")
    # The default prefix is the hour in UTC; the name begins with the stream's and its version.
    for key, _ in objects_below(OBJECTS, bucket, ""):
        form = rf"\d{{4}}/\d\d/\d\d/\d\d/{re.escape(name)}-1-\d{{4}}(-\d\d){{5}}-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}"
        expect(bool(re.fullmatch(form, key)), True, "form of key " + key)
    aws("firehose", "delete-delivery-stream", delivery_stream_name=name)
    return "DirectPut, default prefix"


def send_crossed():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump([{"PartitionKey": k, "Data": v} for k, v in cross_records()], f)
        f.flush()
        aws("kinesis", "put-records", stream_name=OUT, records="file://" + f.name)


os.environ["AWS_PAGER"] = ""
judge("put", put)
judge("read", read)
say("subscribe", "none", "the CLI has no commands with event streams")
judge("errors", refusals)
judge("streams", streams)
if OBJECTS:
    judge("firehose", firehose)
else:
    say("firehose", "none", "no objects directory to look into")
if IN:
    judge("from-kafka", lambda: expect_crossed(read_all(IN)))
    send_crossed()
