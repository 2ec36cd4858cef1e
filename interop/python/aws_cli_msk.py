"""The AWS CLI makes an MSK cluster; Kafka's own tools, which are Java clients, use its TLS address."""

import base64
import json
import os
import subprocess
import tempfile

from aws_cli import Refused, aws
from report import OBJECTS, PREFIX, expect, judge, say

NAME = PREFIX + "cluster"
AUTHORITY = os.path.join(os.path.dirname(OBJECTS), "tls", "ca.pem")
made = {}


def cluster():
    nodes = {"InstanceType": "kafka.m5.large", "ClientSubnets": ["a", "b", "c"], "StorageInfo": {"EbsStorageInfo": {"VolumeSize": 1000}}}
    made["arn"] = aws(
        "kafka", "create-cluster", cluster_name=NAME, kafka_version="3.6.0", number_of_broker_nodes="3", broker_node_group_info=nodes,
        encryption_info={"EncryptionInTransit": {"ClientBroker": "TLS", "InCluster": True}}, tags={"Environment": "test"})["ClusterArn"]
    about = aws("kafka", "describe-cluster", cluster_arn=made["arn"])["ClusterInfo"]
    expect((about["State"], about["NumberOfBrokerNodes"], about["Tags"]), ("ACTIVE", 3, {"Environment": "test"}), "cluster")
    expect(len(aws("kafka", "list-nodes", cluster_arn=made["arn"])["NodeInfoList"]), 3, "brokers")
    aws("kafka", "tag-resource", resource_arn=made["arn"], tags={"a": "b c"})
    aws("kafka", "untag-resource", resource_arn=made["arn"], tag_keys="Environment")
    expect(aws("kafka", "list-tags-for-resource", resource_arn=made["arn"])["Tags"], {"a": "b c"}, "tags")


def tool(name, *args, text=""):
    done = subprocess.run(
        ["bash", os.environ["TOOL"], name, "--bootstrap-server", made["brokers"], *args], input=text, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{name}: {done.stderr.strip()[-300:]}")
    return done.stdout


def clients():
    made["brokers"] = aws("kafka", "get-bootstrap-brokers", cluster_arn=made["arn"])["BootstrapBrokerStringTls"]
    with tempfile.NamedTemporaryFile("w", suffix=".properties") as f:
        f.write(f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={AUTHORITY}\n")
        f.flush()
        tool("topics", "--command-config", f.name, "--create", "--topic", "orders", "--partitions", "2", "--replication-factor", "3")
        tool("console-producer", "--command-config", f.name, "--topic", "orders", text="one\ntwo\nthree\n")
        got = tool("console-consumer", "--command-config", f.name, "--topic", "orders", "--from-beginning", "--max-messages", "3",
                   "--timeout-ms", "60000")
    expect(sorted(got.split()), ["one", "three", "two"], "records")
    return "three records over TLS by Java clients"


def topics():
    configs = base64.b64encode(b'{"cleanup.policy":"compact"}').decode()
    aws("kafka", "create-topic", cluster_arn=made["arn"], topic_name="made", partition_count="2", replication_factor="3", configs=configs)
    about = aws("kafka", "describe-topic", cluster_arn=made["arn"], topic_name="made")
    expect((about["PartitionCount"], base64.b64decode(about["Configs"])), (2, b'{"cleanup.policy":"compact"}'), "topic")
    names = [t["TopicName"] for t in aws("kafka", "list-topics", cluster_arn=made["arn"])["Topics"]]
    expect([n for n in names if not n.startswith("__")], ["made", "orders"], "topics")
    aws("kafka", "delete-topic", cluster_arn=made["arn"], topic_name="made")


def changes():
    version = aws("kafka", "describe-cluster", cluster_arn=made["arn"])["ClusterInfo"]["CurrentVersion"]
    target = [{"KafkaBrokerNodeId": "All", "VolumeSizeGB": 1100}]
    answer = aws("kafka", "update-broker-storage", cluster_arn=made["arn"], current_version=version, target_broker_ebs_volume_info=target)
    operation = aws("kafka", "describe-cluster-operation", cluster_operation_arn=answer["ClusterOperationArn"])["ClusterOperationInfo"]
    expect((operation["OperationState"], operation["OperationType"]), ("UPDATE_COMPLETE", "UPDATE_BROKER_STORAGE"), "operation")
    try:
        aws("kafka", "update-broker-storage", cluster_arn=made["arn"], current_version=version, target_broker_ebs_volume_info=target)
    except Refused as e:
        expect("BadRequestException" in str(e), True, str(e))
    else:
        raise AssertionError("a stale version was taken")


def certificates():
    """Java clients of a cluster that asks for certificates."""
    clients_of = {"Tls": {"CertificateAuthorityArnList": [os.environ["AUTHORITY_ARN"]], "Enabled": True}}
    nodes = {"InstanceType": "kafka.m5.large", "ClientSubnets": ["a", "b"]}
    arn = aws("kafka", "create-cluster", cluster_name=NAME + "-certified", kafka_version="3.6.0", number_of_broker_nodes="2", broker_node_group_info=nodes,
              client_authentication=clients_of)["ClusterArn"]
    try:
        made["brokers"] = aws("kafka", "get-bootstrap-brokers", cluster_arn=arn)["BootstrapBrokerStringTls"]
        trust = f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={AUTHORITY}\n"
        with tempfile.NamedTemporaryFile("w", suffix=".properties") as without, tempfile.NamedTemporaryFile("w", suffix=".properties") as own:
            without.write(trust + "default.api.timeout.ms=5000\nrequest.timeout.ms=5000\n")
            own.write(trust + f"ssl.keystore.type=PEM\nssl.keystore.location={os.environ['CLIENT_PEM']}\n")
            without.flush(), own.flush()
            tool("topics", "--command-config", own.name, "--create", "--topic", "orders", "--partitions", "1", "--replication-factor", "1")
            tool("console-producer", "--command-config", own.name, "--topic", "orders", text="one\n")
            try:
                tool("topics", "--command-config", without.name, "--list")
            except AssertionError:
                return "a Java client without a certificate is refused"
            raise AssertionError("a client without a certificate is let in")
    finally:
        aws("kafka", "delete-cluster", cluster_arn=arn)


def deletion():
    aws("kafka", "delete-cluster", cluster_arn=made["arn"])
    expect(aws("kafka", "list-clusters", cluster_name_filter=NAME)["ClusterInfoList"], [], "clusters of the name")


os.environ["AWS_PAGER"] = ""
judge("cluster", cluster)
judge("clients", clients)
judge("topics-api", topics)
judge("changes", changes)
say("passwords", "none", "boto3 judges it")
judge("certificates", certificates)
say("terraform", "none", "boto3 judges it")
judge("deletion", deletion)
