"""boto3 makes an MSK cluster; librdkafka uses its TLS address with the certificate of the node's authority."""

import base64
import json
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from report import OBJECTS, ENDPOINT, PREFIX, expect, judge

NAME = PREFIX + "cluster"
AUTHORITY = os.path.join(os.path.dirname(OBJECTS), "tls", "ca.pem")

config = Config(retries={"max_attempts": 1})
kafka = boto3.client("kafka", endpoint_url=ENDPOINT, config=config)
secrets = boto3.client("secretsmanager", endpoint_url=ENDPOINT, config=config)
made = {}


def active(arn):
    for _ in range(50):
        about = kafka.describe_cluster(ClusterArn=arn)["ClusterInfo"]
        if about["State"] == "ACTIVE":
            return about
        time.sleep(0.1)
    raise AssertionError("the cluster does not become active")


def cluster():
    """The cluster that the guides make: 3.6.0, 3 brokers of kafka.m5.large with 1000 GiB, TLS, encryption in the cluster, tags."""
    answer = kafka.create_cluster(
        ClusterName=NAME, KafkaVersion="3.6.0", NumberOfBrokerNodes=3, Tags={"Environment": "test"},
        BrokerNodeGroupInfo={
            "InstanceType": "kafka.m5.large", "ClientSubnets": ["subnet-a", "subnet-b", "subnet-c"], "SecurityGroups": ["sg-1"],
            "StorageInfo": {"EbsStorageInfo": {"VolumeSize": 1000}}},
        EncryptionInfo={"EncryptionInTransit": {"ClientBroker": "TLS", "InCluster": True}})
    made["arn"] = answer["ClusterArn"]
    about = active(made["arn"])
    expect(about["CurrentBrokerSoftwareInfo"]["KafkaVersion"], "3.6.0", "version")
    expect(about["BrokerNodeGroupInfo"]["StorageInfo"]["EbsStorageInfo"]["VolumeSize"], 1000, "volume")
    expect(about["Tags"], {"Environment": "test"}, "tags")
    pages = kafka.get_paginator("list_nodes").paginate(ClusterArn=made["arn"])
    expect([n["BrokerNodeInfo"]["BrokerId"] for p in pages for n in p["NodeInfoList"]], [1, 2, 3], "brokers")
    found = [c["ClusterArn"] for p in kafka.get_paginator("list_clusters_v2").paginate(ClusterNameFilter=NAME) for c in p["ClusterInfoList"]]
    expect(found, [made["arn"]], "clusters of the name")


def client(kind, **more):
    return kind({"bootstrap.servers": made["brokers"], "security.protocol": "SSL", "ssl.ca.location": AUTHORITY, **more})


def clients():
    made["brokers"] = kafka.get_bootstrap_brokers(ClusterArn=made["arn"])["BootstrapBrokerStringTls"]
    expect(len(made["brokers"].split(",")), 3, "addresses")
    kafka.create_topic(
        ClusterArn=made["arn"], TopicName="orders", PartitionCount=3, ReplicationFactor=3,
        Configs=base64.b64encode(json.dumps({"retention.ms": 3600000}).encode()).decode())
    producer = client(Producer)
    for i in range(100):
        producer.produce("orders", key=f"k{i % 5}", value=f"{i}")
    expect(producer.flush(30), 0, "records not sent")
    consumer = client(Consumer, **{"group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    got, deadline = set(), time.monotonic() + 60
    while len(got) < 100 and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            got.add(message.value())
    consumer.close()
    expect(len(got), 100, "records")
    expect([t for t in client(AdminClient).list_topics(timeout=30).topics if not t.startswith("__")], ["orders"], "topics")
    return f"100 records over TLS at {made['brokers']}"


def topics():
    about = kafka.describe_topic(ClusterArn=made["arn"], TopicName="orders")
    expect((about["PartitionCount"], about["ReplicationFactor"], about["Status"]), (3, 3, "ACTIVE"), "topic")
    expect(json.loads(base64.b64decode(about["Configs"])), {"retention.ms": "3600000"}, "configs")
    kafka.update_topic(ClusterArn=made["arn"], TopicName="orders", PartitionCount=5)
    expect(len(kafka.describe_topic_partitions(ClusterArn=made["arn"], TopicName="orders")["Partitions"]), 5, "partitions")
    expect([t["TopicName"] for t in kafka.list_topics(ClusterArn=made["arn"])["Topics"] if not t["TopicName"].startswith("__")], ["orders"], "topics")
    kafka.delete_topic(ClusterArn=made["arn"], TopicName="orders")
    try:
        kafka.describe_topic(ClusterArn=made["arn"], TopicName="orders")
    except ClientError as e:
        expect(e.response["Error"]["Code"], "NotFoundException", "error")
    else:
        raise AssertionError("the topic is there after its deletion")


def changes():
    version = active(made["arn"])["CurrentVersion"]
    properties = "num.partitions=4\nauto.create.topics.enable=true\n"
    revision = kafka.create_configuration(Name=NAME, KafkaVersions=["3.6.0"], ServerProperties=properties)
    answer = kafka.update_cluster_configuration(
        ClusterArn=made["arn"], CurrentVersion=version, ConfigurationInfo={"Arn": revision["Arn"], "Revision": 1})
    operation = kafka.describe_cluster_operation(ClusterOperationArn=answer["ClusterOperationArn"])["ClusterOperationInfo"]
    expect(operation["OperationState"], "UPDATE_COMPLETE", "operation")
    try:
        kafka.update_broker_type(ClusterArn=made["arn"], CurrentVersion=version, TargetInstanceType="kafka.m5.xlarge")
    except ClientError as e:
        expect(e.response["Error"]["Code"], "BadRequestException", "error")
    else:
        raise AssertionError("a stale version was taken")
    stored = kafka.describe_configuration_revision(Arn=revision["Arn"], Revision=1)["ServerProperties"]
    expect(stored.decode(), properties, "properties")
    producer = client(Producer)
    producer.produce("by-itself", value="x")
    expect(producer.flush(30), 0, "records not sent")
    expect(len(client(AdminClient).list_topics("by-itself", timeout=30).topics["by-itself"].partitions), 4, "partitions")


def passwords():
    """A second cluster, whose clients have the passwords of secrets."""
    answer = kafka.create_cluster_v2(ClusterName=NAME + "-scram", Provisioned={
        "KafkaVersion": "3.9.x.kraft", "NumberOfBrokerNodes": 2, "BrokerNodeGroupInfo": {"InstanceType": "kafka.m7g.large", "ClientSubnets": ["a", "b"]},
        "ClientAuthentication": {"Sasl": {"Scram": {"Enabled": True}}}})
    arn = answer["ClusterArn"]
    try:
        secret = secrets.create_secret(
            Name="AmazonMSK_" + NAME, KmsKeyId="alias/clients", SecretString=json.dumps({"username": "alice", "password": "wonderland"}))["ARN"]
        other = secrets.create_secret(Name=NAME, KmsKeyId="alias/clients", SecretString="{}")["ARN"]
        answer = kafka.batch_associate_scram_secret(ClusterArn=arn, SecretArnList=[secret, other])
        expect([(u["SecretArn"], u["ErrorCode"]) for u in answer["UnprocessedScramSecrets"]], [(other, "InvalidSecretArn")], "left out")
        expect(kafka.list_scram_secrets(ClusterArn=arn)["SecretArnList"], [secret], "secrets")
        brokers = kafka.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerStringSaslScram"]
        sasl = {
            "bootstrap.servers": brokers, "security.protocol": "SASL_SSL", "ssl.ca.location": AUTHORITY, "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "alice"}
        expect(list(AdminClient({**sasl, "sasl.password": "wonderland"}).list_topics(timeout=30).topics), [], "topics")
        secrets.put_secret_value(SecretId=secret, SecretString=json.dumps({"username": "alice", "password": "mirror"}))
        expect(list(AdminClient({**sasl, "sasl.password": "mirror"}).list_topics(timeout=30).topics), [], "topics")
        expect(kafka.batch_disassociate_scram_secret(ClusterArn=arn, SecretArnList=[secret])["UnprocessedScramSecrets"], [], "left out")
    finally:
        kafka.delete_cluster(ClusterArn=arn)


def certificates():
    """A third cluster, whose clients show certificates."""
    if "AUTHORITY_ARN" not in os.environ:
        raise AssertionError("the server was not started with an authority")
    answer = kafka.create_cluster_v2(ClusterName=NAME + "-certified", Provisioned={
        "KafkaVersion": "3.9.x.kraft", "NumberOfBrokerNodes": 2, "BrokerNodeGroupInfo": {"InstanceType": "kafka.m7g.large", "ClientSubnets": ["a", "b"]},
        "ClientAuthentication": {"Tls": {"CertificateAuthorityArnList": [os.environ["AUTHORITY_ARN"]], "Enabled": True}}})
    arn = answer["ClusterArn"]
    try:
        brokers = kafka.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerStringTls"]
        base = {"bootstrap.servers": brokers, "security.protocol": "SSL", "ssl.ca.location": AUTHORITY}
        own = {"ssl.certificate.location": os.environ["CLIENT_CERT"], "ssl.key.location": os.environ["CLIENT_KEY"]}
        expect(list(AdminClient({**base, **own}).list_topics(timeout=30).topics), [], "topics")
        try:
            AdminClient(base).list_topics(timeout=5)
        except KafkaException:
            return "refused without a certificate"
        raise AssertionError("a client without a certificate is let in")
    finally:
        kafka.delete_cluster(ClusterArn=arn)


def terraform():
    """The calls of Terraform's AWS provider for aws_msk_configuration, aws_msk_cluster and aws_msk_cluster_policy, in its order, with what it reads and waits for."""
    name, properties = NAME + "-tf", "num.partitions=2\n"
    configuration = kafka.create_configuration(Name=name, Description="made", KafkaVersions=["3.6.0"], ServerProperties=properties)["Arn"]
    about = kafka.describe_configuration(Arn=configuration)
    expect((about["Name"], about["KafkaVersions"], about["LatestRevision"]["Revision"], about["State"]), (name, ["3.6.0"], 1, "ACTIVE"), "configuration")
    revision = kafka.describe_configuration_revision(Arn=configuration, Revision=1)
    expect((revision["Description"], revision["ServerProperties"].decode()), ("made", properties), "revision")
    expect(kafka.update_configuration(Arn=configuration, ServerProperties=properties + "min.insync.replicas=1\n")["LatestRevision"]["Revision"], 2, "revision")
    nodes = {"InstanceType": "kafka.m5.large", "ClientSubnets": ["a", "b", "c"], "SecurityGroups": ["sg-1"], "StorageInfo": {"EbsStorageInfo": {"VolumeSize": 100}}}
    arn = kafka.create_cluster(
        ClusterName=name, KafkaVersion="3.6.0", NumberOfBrokerNodes=3, BrokerNodeGroupInfo=nodes, Tags={"Name": "tf"},
        ClientAuthentication={"Sasl": {"Iam": {"Enabled": False}, "Scram": {"Enabled": False}}, "Tls": {"Enabled": False}, "Unauthenticated": {"Enabled": True}},
        EncryptionInfo={"EncryptionInTransit": {"ClientBroker": "TLS", "InCluster": True}}, ConfigurationInfo={"Arn": configuration, "Revision": 1})["ClusterArn"]
    expect(len(arn.split(":")[5].split("/")), 3, "parts of the ARN")
    try:
        terraform_cluster(arn, configuration)
        terraform_policy(arn)
    finally:
        kafka.delete_cluster(ClusterArn=arn)
        gone(lambda: kafka.describe_cluster_v2(ClusterArn=arn), "NotFoundException", "")
        expect(kafka.delete_configuration(Arn=configuration)["State"], "DELETING", "state")
        gone(lambda: kafka.describe_configuration(Arn=configuration), "BadRequestException", "Configuration ARN does not exist")


def gone(describe, code, text):
    """Waits as Terraform does: until the error is the one that it knows."""
    for _ in range(50):
        try:
            describe()
        except ClientError as e:
            expect((e.response["Error"]["Code"], text in e.response["Error"]["Message"]), (code, True), "error")
            return
        time.sleep(0.1)
    raise AssertionError("it is there after its deletion")


def terraform_cluster(arn, configuration):
    for _ in range(50):
        if kafka.describe_cluster_v2(ClusterArn=arn)["ClusterInfo"]["State"] == "ACTIVE":
            break
        time.sleep(0.1)
    about = kafka.describe_cluster(ClusterArn=arn)["ClusterInfo"]
    missing = [m for m in (
        "ClusterArn", "ClusterName", "BrokerNodeGroupInfo", "ClientAuthentication", "CurrentBrokerSoftwareInfo", "CurrentVersion", "EnhancedMonitoring", "EncryptionInfo",
        "NumberOfBrokerNodes", "OpenMonitoring", "StorageMode", "Tags") if m not in about]
    expect(missing, [], "members that are not there")
    expect(about["BrokerNodeGroupInfo"]["ConnectivityInfo"]["PublicAccess"], {"Type": "DISABLED"}, "public access")
    expect(about["OpenMonitoring"]["Prometheus"]["JmxExporter"]["EnabledInBroker"], False, "exporter")
    logs = {"BrokerLogs": {"CloudWatchLogs": {"Enabled": True, "LogGroup": "g"}, "Firehose": {"Enabled": False}, "S3": {"Enabled": False}}}
    exporters = {"Prometheus": {"JmxExporter": {"EnabledInBroker": True}, "NodeExporter": {"EnabledInBroker": False}}}
    volumes = [{"KafkaBrokerNodeId": "All", "VolumeSizeGB": 200, "ProvisionedThroughput": {"Enabled": True, "VolumeThroughput": 250}}]
    both = {"EncryptionInTransit": {"ClientBroker": "TLS_PLAINTEXT"}}
    changes = (
        ("connectivity", {"ConnectivityInfo": {"PublicAccess": {"Type": "DISABLED"}}}, lambda c: c["BrokerNodeGroupInfo"]["ConnectivityInfo"]["PublicAccess"]["Type"] == "DISABLED"),
        ("broker_type", {"TargetInstanceType": "kafka.m5.xlarge"}, lambda c: c["BrokerNodeGroupInfo"]["InstanceType"] == "kafka.m5.xlarge"),
        ("broker_storage", {"TargetBrokerEBSVolumeInfo": volumes}, lambda c: c["BrokerNodeGroupInfo"]["StorageInfo"]["EbsStorageInfo"] == {
            "VolumeSize": 200, "ProvisionedThroughput": {"Enabled": True, "VolumeThroughput": 250}}),
        ("broker_count", {"TargetNumberOfBrokerNodes": 6}, lambda c: c["NumberOfBrokerNodes"] == 6),
        ("monitoring", {"EnhancedMonitoring": "PER_BROKER", "LoggingInfo": logs, "OpenMonitoring": exporters}, lambda c: (
            c["EnhancedMonitoring"], c["LoggingInfo"], c["OpenMonitoring"]) == ("PER_BROKER", logs, exporters)),
        ("cluster_configuration", {"ConfigurationInfo": {"Arn": configuration, "Revision": 2}}, lambda c: c["CurrentBrokerSoftwareInfo"]["ConfigurationRevision"] == 2),
        ("cluster_kafka_version", {"TargetKafkaVersion": "3.7.x"}, lambda c: c["CurrentBrokerSoftwareInfo"]["KafkaVersion"] == "3.7.x"),
        ("security", {"EncryptionInfo": both}, lambda c: c["EncryptionInfo"]["EncryptionInTransit"] == {"ClientBroker": "TLS_PLAINTEXT", "InCluster": True}),
        ("storage", {"StorageMode": "TIERED"}, lambda c: c["StorageMode"] == "TIERED"),
        ("rebalancing", {"Rebalancing": {"Status": "PAUSED"}}, lambda c: c["Rebalancing"] == {"Status": "PAUSED"}),
    )
    done = []
    for what, wanted, shows in changes:
        answer = getattr(kafka, "update_" + what)(ClusterArn=arn, CurrentVersion=about["CurrentVersion"], **wanted)
        done.append(answer["ClusterOperationArn"])
        operation = kafka.describe_cluster_operation(ClusterOperationArn=done[-1])["ClusterOperationInfo"]
        expect(operation["OperationState"], "UPDATE_COMPLETE", what)
        expect(kafka.describe_cluster_operation_v2(ClusterOperationArn=done[-1])["ClusterOperationInfo"]["OperationState"], "UPDATE_COMPLETE", what)
        about = kafka.describe_cluster(ClusterArn=arn)["ClusterInfo"]
        expect(shows(about), True, what + " as it is described")
    done.append(kafka.reboot_broker(ClusterArn=arn, BrokerIds=["1"])["ClusterOperationArn"])
    for listing in "list_cluster_operations", "list_cluster_operations_v2":
        pages = kafka.get_paginator(listing).paginate(ClusterArn=arn)
        expect(sorted(o["OperationArn"] for p in pages for o in p["ClusterOperationInfoList"]), sorted(done), "operations")
    brokers = kafka.get_bootstrap_brokers(ClusterArn=arn)
    expect(sorted(k for k in brokers if k.startswith("Bootstrap")), ["BootstrapBrokerString", "BootstrapBrokerStringTls"], "addresses")
    kafka.tag_resource(ResourceArn=arn, Tags={"Name": "other", "More": ""})
    kafka.untag_resource(ResourceArn=arn, TagKeys=["More"])
    expect(kafka.describe_cluster(ClusterArn=arn)["ClusterInfo"]["Tags"], {"Name": "other"}, "tags")


def terraform_policy(arn):
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": ["kafka:GetBootstrapBrokers"], "Resource": arn}]})
    kafka.put_cluster_policy(ClusterArn=arn, Policy=policy)
    got = kafka.get_cluster_policy(ClusterArn=arn)
    expect(json.loads(got["Policy"]), json.loads(policy), "policy")
    kafka.put_cluster_policy(ClusterArn=arn, Policy=policy, CurrentVersion=got["CurrentVersion"])
    kafka.delete_cluster_policy(ClusterArn=arn)
    gone(lambda: kafka.get_cluster_policy(ClusterArn=arn), "NotFoundException", "")


def deletion():
    kafka.delete_cluster(ClusterArn=made["arn"])
    try:
        kafka.describe_cluster(ClusterArn=made["arn"])
    except ClientError as e:
        expect(e.response["Error"]["Code"], "NotFoundException", "error")
    else:
        raise AssertionError("the cluster is there after its deletion")


judge("cluster", cluster)
judge("clients", clients)
judge("topics-api", topics)
judge("changes", changes)
judge("passwords", passwords)
judge("certificates", certificates)
judge("terraform", terraform)
judge("deletion", deletion)
