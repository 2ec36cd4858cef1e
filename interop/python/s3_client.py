"""A node of its own delivers into moto, which plays S3; boto3 looks at what is there."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config

from delivered import wait_for
from report import PREFIX, expect, judge

BUCKET, BELOW = "store", "nodes/a b"
once = Config(retries={"max_attempts": 1})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


PORT = free_port()
S3 = f"http://127.0.0.1:{PORT}"
s3 = boto3.client("s3", endpoint_url=S3, config=Config(s3={"addressing_style": "path"}))
place = f"s3://{BUCKET}/{urllib.parse.quote(BELOW)}?" + urllib.parse.urlencode({"endpoint": S3, "region": "us-east-1"})
work = tempfile.TemporaryDirectory(prefix="freshet-s3-")
environment = {k: v for k, v in os.environ.items() if k != "AWS_ENDPOINT_URL"}
running = {}


def stop(name):
    process = running.pop(name, None)
    if process is not None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def start_moto():
    moto = os.path.join(os.path.dirname(sys.executable), "moto_server")
    with open(os.path.join(work.name, "moto.log"), "a") as log:
        running["moto"] = subprocess.Popen([moto, "-H", "127.0.0.1", "-p", str(PORT)], stdout=log, stderr=log)

    def answers():
        try:
            return urllib.request.urlopen(S3 + "/moto-api/data.json", timeout=5).status == 200
        except OSError:
            return False
    wait_for(answers, 60, "moto answers")


def freshet(*arguments):
    return subprocess.run([os.environ["BINARY"], *arguments], env=environment, capture_output=True, timeout=60)


def serve():
    node = subprocess.Popen(
        [os.environ["BINARY"], "serve", "--json", "--data", os.path.join(work.name, "data"), "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0", "--objects", place],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    running["node"] = node
    at = json.loads(node.stdout.readline())
    expect(at["objects"], place, "objects")
    return boto3.client("firehose", endpoint_url=at["aws"], config=once)


def refusal():
    """Without its bucket a node does not start."""
    node = freshet("serve", "--data", os.path.join(work.name, "other"), "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0", "--objects", place)
    expect((node.returncode, b"objects: S3: list bucket store: object not found: NoSuchBucket" in node.stderr), (2, True), f"exit of the node that says {node.stderr!r}")
    s3.create_bucket(Bucket=BUCKET)


def deliver(firehose, name, records, **more):
    firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration={
        "BucketARN": "arn:aws:s3:::lake", "RoleARN": "arn:aws:iam::000000000000:role/any", "Prefix": name + "/", "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 64}, **more})
    put(firehose, name, records)


def put(firehose, name, records):
    expect(firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": r} for r in records])["FailedPutCount"], 0, "records not put")


def delivered(name):
    """What is in the objects of a delivery stream, one after the other."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{BELOW}/lake/{name}/")
    keys = sorted(o["Key"] for p in pages for o in p.get("Contents", []))
    return b"".join(s3.get_object(Bucket=BUCKET, Key=k)["Body"].read() for k in keys)


def delivery():
    firehose = running["firehose"] = serve()
    lines = [b"line %d\n" % i for i in range(400)]
    deliver(firehose, PREFIX + "small", lines, CompressionFormat="GZIP")
    wait_for(lambda: gzip.decompress(delivered(PREFIX + "small")) == b"".join(lines), 60, "the records are objects")
    listed = freshet("ls", "--json", "--objects", place, f"lake/{PREFIX}small/")
    names = [json.loads(line) for line in listed.stdout.splitlines()]
    shown = freshet("cat", "-z", "--objects", place, *[f"{n['bucket']}/{n['key']}" for n in names])
    expect(shown.stdout, b"".join(lines), "freshet cat")
    return f"{len(names)} objects, read by boto3 and freshet cat"


def parts():
    """Objects beyond a part of 8 MiB are multipart uploads."""
    name, record = PREFIX + "large", os.urandom(900_000)
    hints = {"IntervalInSeconds": 900, "SizeInMBs": 20}
    deliver(running["firehose"], name, [record] * 4, BufferingHints=hints)
    for _ in range(5):
        put(running["firehose"], name, [record] * 4)
    wait_for(lambda: len(delivered(name)) >= 20 << 20, 90, "an object of 20 MiB")
    got = delivered(name)
    expect(got, (record * 24)[:len(got)], "bytes")
    expect(s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []), [], "uploads left over")
    etags = [o["ETag"] for o in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{BELOW}/lake/{name}/")["Contents"]]
    return f"ETag {etags[0]}"


def outage():
    """S3 is away, and comes back empty: what was not delivered before is delivered then."""
    stop("moto")
    lines = [b"late %d\n" % i for i in range(10)]
    deliver(running["firehose"], PREFIX + "late", lines)
    start_moto()
    s3.create_bucket(Bucket=BUCKET)
    wait_for(lambda: delivered(PREFIX + "late") == b"".join(lines), 90, "the records are delivered once S3 is back")


try:
    start_moto()
    judge("s3-refusal", refusal)
    judge("s3-delivery", delivery)
    judge("s3-parts", parts)
    judge("s3-outage", outage)
finally:
    stop("node")
    stop("moto")
    work.cleanup()
