# What the provider of Kafka manages: a topic, ACLs, quotas and a user.

terraform {
  required_providers {
    kafka = { source = "Mongey/kafka" }
  }
}

variable "kafka" { type = string }
variable "partitions" { default = 3 }
variable "retention" { default = "86400000" }
variable "rate" { default = 4000000 }
variable "iterations" { default = 8192 }

provider "kafka" {
  bootstrap_servers = [var.kafka]
  tls_enabled       = false
}

resource "kafka_topic" "orders" {
  name               = "orders"
  replication_factor = 1
  partitions         = var.partitions
  config = {
    "cleanup.policy" = "compact,delete"
    "retention.ms"   = var.retention
    "segment.bytes"  = "104857600"
  }
}

resource "kafka_acl" "write" {
  resource_name       = "orders"
  resource_type       = "Topic"
  acl_principal       = "User:alice"
  acl_host            = "*"
  acl_operation       = "Write"
  acl_permission_type = "Allow"
}

resource "kafka_acl" "teams" {
  resource_name                = "team-"
  resource_type                = "Group"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:alice"
  acl_host                     = "127.0.0.1"
  acl_operation                = "Read"
  acl_permission_type          = "Deny"
}

resource "kafka_quota" "client" {
  entity_name = "client1"
  entity_type = "client-id"
  config = {
    "consumer_byte_rate" = var.rate
    "producer_byte_rate" = 3500000
  }
}

resource "kafka_quota" "users" {
  entity_type = "user"
  config      = { "request_percentage" = 250.5 }
}

resource "kafka_user_scram_credential" "alice" {
  username         = "alice"
  scram_mechanism  = "SCRAM-SHA-256"
  scram_iterations = var.iterations
  password         = "correct horse"
}

data "kafka_topic" "orders" {
  name       = "orders"
  depends_on = [kafka_topic.orders]
}
