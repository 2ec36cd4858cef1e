"""boto3: Kinesis and Firehose, JSON over HTTP/1.1."""

import datetime
import gzip
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from delivered import objects_below, wait_for
from report import ENDPOINT, IN, OBJECTS, OUT, PREFIX, cross_records, expect, expect_crossed, judge, say

NAME, CONSUMER = PREFIX + "stream", PREFIX + "consumer"
RECORDS = [(f"key-{i % 5}", b"%d:" % i + b"x" * 100) for i in range(50)]

config = Config(retries={"max_attempts": 1})
kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT, config=config)


def create(name, shards):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def put():
    create(NAME, 2)
    numbers = {}
    for key, data in RECORDS[:10]:
        answer = kinesis.put_record(StreamName=NAME, PartitionKey=key, Data=data)
        shard, number = answer["ShardId"], int(answer["SequenceNumber"])
        expect(number > numbers.get(shard, 0), True, "sequence numbers of a shard grow")
        numbers[shard] = number
    answer = kinesis.put_records(StreamName=NAME, Records=[{"PartitionKey": k, "Data": d} for k, d in RECORDS[10:]])
    expect(answer["FailedRecordCount"], 0, "failed records")
    expect(len(answer["Records"]), 40, "results")


def page(iterator):
    answer = kinesis.get_records(ShardIterator=iterator)
    return answer["Records"], answer.get("NextShardIterator"), answer["MillisBehindLatest"]


def read_all(name, **start):
    """Records of all shards from a start, as (shard, record)."""
    got = []
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], **start)["ShardIterator"]
        while iterator:
            records, iterator, behind = page(iterator)
            got += [(shard["ShardId"], r) for r in records]
            if not records and behind == 0:
                break
    return got


def read():
    got = read_all(NAME, ShardIteratorType="TRIM_HORIZON")
    expect(sorted((r["PartitionKey"], r["Data"]) for _, r in got), sorted(RECORDS), "records")
    shard = got[0][0]
    mine = [r for s, r in got if s == shard]
    after = kinesis.get_shard_iterator(
        StreamName=NAME, ShardId=shard, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=mine[0]["SequenceNumber"])
    expect(page(after["ShardIterator"])[0][0]["SequenceNumber"], mine[1]["SequenceNumber"], "the record after the first")
    # botocore sends times in whole seconds: ask from the next one on.
    between = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=1)
    while datetime.datetime.now(datetime.timezone.utc) <= between:
        time.sleep(0.02)
    kinesis.put_record(StreamName=NAME, PartitionKey="late", Data=b"late")
    late = read_all(NAME, ShardIteratorType="AT_TIMESTAMP", Timestamp=between)
    expect([r["Data"] for _, r in late], [b"late"], "records from that time")
    expect(abs((late[0][1]["ApproximateArrivalTimestamp"] - between).total_seconds()) < 5, True, "arrival time is now")


def subscribe():
    arn = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=CONSUMER)["Consumer"]["ConsumerARN"]

    def status():
        return kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE"

    wait_for(status, 20, "the consumer becomes active")
    count = 0
    for shard in kinesis.list_shards(StreamName=NAME)["Shards"]:
        answer = kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=shard["ShardId"], StartingPosition={"Type": "TRIM_HORIZON"})
        for event in answer["EventStream"]:
            event = event["SubscribeToShardEvent"]
            count += len(event["Records"])
            if event["MillisBehindLatest"] == 0:
                break
        answer["EventStream"].close()
    expect(count, len(RECORDS) + 1, "records")
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    return f"{count} records"


def refused(code, message, call):
    try:
        call()
    except ClientError as e:
        expect(e.response["Error"]["Code"], code, "error code")
        expect(e.response["Error"]["Message"], message, "error text")
        return
    raise AssertionError(f"{code} was due")


def refusals():
    account = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamARN"].split(":")[4]
    absent = PREFIX + "absent"
    refused("ResourceNotFoundException", f"Stream {absent} under account {account} not found.",
            lambda: kinesis.describe_stream_summary(StreamName=absent))
    refused("ResourceInUseException", f"Stream {NAME} under account {account} already exists.",
            lambda: kinesis.create_stream(StreamName=NAME, ShardCount=1))
    refused("ValidationException",
            "1 validation error detected: Value 'bad name' at 'streamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            lambda: kinesis.create_stream(StreamName="bad name", ShardCount=1))
    refused("InvalidArgumentException", "Invalid ShardIterator.", lambda: kinesis.get_records(ShardIterator="AAAA"))


def streams():
    expect(NAME in [n for p in kinesis.get_paginator("list_streams").paginate() for n in p["StreamNames"]], True, "listed")
    kinesis.add_tags_to_stream(StreamName=NAME, Tags={"team": "a", "stage": "b"})
    kinesis.remove_tags_from_stream(StreamName=NAME, TagKeys=["stage"])
    expect(kinesis.list_tags_for_stream(StreamName=NAME)["Tags"], [{"Key": "team", "Value": "a"}], "tags")
    kinesis.increase_stream_retention_period(StreamName=NAME, RetentionPeriodHours=48)
    summary = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]
    expect((summary["RetentionPeriodHours"], summary["OpenShardCount"]), (48, 2), "retention and shards")
    kinesis.decrease_stream_retention_period(StreamName=NAME, RetentionPeriodHours=24)
    kinesis.delete_stream(StreamName=NAME)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def firehose():
    source, name, bucket = PREFIX + "source", PREFIX + "delivery", "boto3-bucket"
    create(source, 2)
    arn = kinesis.describe_stream_summary(StreamName=source)["StreamDescriptionSummary"]["StreamARN"]
    client = boto3.client("firehose", endpoint_url=ENDPOINT, config=config)
    role = "arn:aws:iam::000000000000:role/delivery"
    client.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": role},
        ExtendedS3DestinationConfiguration={
            "BucketARN": "arn:aws:s3:::" + bucket, "RoleARN": role, "Prefix": "data/!{timestamp:yyyy}/", "ErrorOutputPrefix": "errors/",
            "CompressionFormat": "GZIP", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        })

    def active():
        d = client.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
        return d["DeliveryStreamStatus"] == "ACTIVE"

    wait_for(active, 20, "the delivery stream becomes active")
    lines = [b"%d\n" % i for i in range(100)]
    kinesis.put_records(StreamName=source, Records=[{"PartitionKey": str(i), "Data": d} for i, d in enumerate(lines)])
    year = str(datetime.datetime.now(datetime.timezone.utc).year)

    def delivered():
        objects = objects_below(OBJECTS, bucket, f"data/{year}/")
        return sorted(line for _, body in objects for line in gzip.decompress(body).splitlines(True)) == sorted(lines)

    wait_for(delivered, 30, "100 records are delivered, each once")
    client.delete_delivery_stream(DeliveryStreamName=name)
    return "from a stream, GZIP, timestamp in the prefix"


def crossed():
    got = [(r["PartitionKey"], r["Data"].decode()) for _, r in read_all(IN, ShardIteratorType="TRIM_HORIZON")]
    return expect_crossed(got)


judge("put", put)
judge("read", read)
judge("subscribe", subscribe)
judge("errors", refusals)
judge("streams", streams)
if OBJECTS:
    judge("firehose", firehose)
else:
    say("firehose", "none", "no objects directory to look into")
if IN:
    judge("from-kafka", crossed)
    kinesis.put_records(StreamName=OUT, Records=[{"PartitionKey": k, "Data": v} for k, v in cross_records()])
