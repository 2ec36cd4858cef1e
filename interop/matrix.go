package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	matrixFile = "interop/matrix.json"
	readmeFile = "README.md"
	// README's table stands between these lines and is written by nobody else.
	tableBegin = "<!-- interop matrix: written by `make interop` -->"
	tableEnd   = "<!-- end of interop matrix -->"
)

// columns are the headings of capabilities, said for readers.
var columns = map[string]string{
	"topics": "create, describe, delete", "codecs": "produce, every codec", "group": "consume in a group", "resume": "resume from commits",
	"time": "offsets by time", "large": "1 MB record", "transactions": "transactions", "errors": "refusals", "from-kinesis": "reads Kinesis", "to-kinesis": "Kinesis reads",
	"streams": "streams, tags, retention", "put": "PutRecord(s)", "read": "GetRecords", "subscribe": "SubscribeToShard",
	"firehose": "Firehose delivery", "from-kafka": "reads Kafka", "to-kafka": "Kafka reads", "stream-tasks": "tasks, exactly once", "stream-standby": "standby tasks", "stream-admin": "describe, offsets, delete",
	"queue": "accept, release, reject, delivery counts",
	"tls":   "TLS", "mtls": "certificate", "plain": "PLAIN", "scram": "SCRAM-SHA-256, -512", "token": "OAUTHBEARER", "iam": "MSK IAM", "denied": "wrong credentials",
	"shares": "members share, offsets", "patterns": "regular expressions", "static": "static members", "migration": "with classic members",
	"cluster": "MSK cluster", "clients": "Kafka over TLS", "topics-api": "topics API", "changes": "updates, configurations",
	"moved": "move", "old-records": "read from objects", "trimmed": "DeleteRecords", "disabled": "given up",
	"users": "SCRAM users", "acls": "ACLs", "tokens": "delegation tokens", "quotas": "quotas", "node": "cluster, features, quorum",
	"replicas": "elections, reassignment, log dirs", "roles": "groups of each kind", "load": "verifiable clients, latency",
	"lag": "state and lag of a group", "subscribed": "subscribe", "pushed": "pushed and shown", "unsubscribed": "unsubscribe",
	"passwords": "SCRAM secrets", "certificates": "clients' certificates", "terraform": "Terraform's calls", "deletion": "deletion",
	"s3-refusal": "missing bucket", "s3-delivery": "delivery, ls, cat", "s3-parts": "multipart", "s3-outage": "outage",
}

// writeMatrix keeps the results of a whole run, and renders README's table from them.
func writeMatrix(root string, results []result) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, matrixFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	path := filepath.Join(root, readmeFile)
	readme, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	updated, err := replaceTable(readme, results)
	if err != nil {
		return err
	}
	return os.WriteFile(path, updated, 0o644)
}

// checkReadme fails if README's table is not the one that the kept results give.
func checkReadme(root string) error {
	text, err := os.ReadFile(filepath.Join(root, matrixFile))
	if err != nil {
		return err
	}
	var results []result
	if err := json.Unmarshal(text, &results); err != nil {
		return fmt.Errorf("%s: %w", matrixFile, err)
	}
	readme, err := os.ReadFile(filepath.Join(root, readmeFile))
	if err != nil {
		return err
	}
	updated, err := replaceTable(readme, results)
	if err != nil {
		return err
	}
	if !bytes.Equal(readme, updated) {
		return errors.New("the table in README.md is not the one of interop/matrix.json: run make interop")
	}
	return nil
}

func replaceTable(readme []byte, results []result) ([]byte, error) {
	before, rest, found := bytes.Cut(readme, []byte(tableBegin))
	if !found {
		return nil, fmt.Errorf("README.md has no line %s", tableBegin)
	}
	_, after, found := bytes.Cut(rest, []byte(tableEnd))
	if !found {
		return nil, fmt.Errorf("README.md has no line %s", tableEnd)
	}
	return slices.Concat(before, []byte(tableBegin+"\n"+render(results)), []byte(tableEnd), after), nil
}

// render draws a table per protocol and the remarks below.
func render(results []result) string {
	var b strings.Builder
	for _, p := range []protocol{kafkaProtocol, nextProtocol, securedKafka, queueProtocol, streamedKafka, tieredKafka, governedKafka, operatedKafka, metricsOfKafka, monitored, awsProtocol, s3Protocol, mskProtocol} {
		if !slices.ContainsFunc(results, func(r result) bool { return r.Protocol == p }) {
			continue
		}
		names := capabilities[p]
		b.WriteString("\n| " + map[protocol]string{kafkaProtocol: "Kafka client", nextProtocol: "KIP-848 groups", queueProtocol: "share groups", streamedKafka: "streams groups", tieredKafka: "older records as objects", governedKafka: "who may do what", operatedKafka: "operation", metricsOfKafka: "clients' metrics", monitored: "monitor of groups", awsProtocol: "AWS client", mskProtocol: "MSK client", s3Protocol: "S3 to deliver to", securedKafka: "Kafka client, authenticated"}[p])
		for _, n := range names {
			b.WriteString(" | " + columns[n])
		}
		b.WriteString(" |\n|---" + strings.Repeat("|---", len(names)) + "|\n")
		for _, r := range results {
			if r.Protocol == p {
				b.WriteString(row(r, names))
			}
		}
	}
	return b.String() + "\n" + remarks(results)
}

func row(r result, names []string) string {
	line := "| " + r.Title + " " + r.Version
	for _, n := range names {
		mark := "?"
		for _, f := range r.Findings {
			if f.Capability == n {
				mark = map[verdict]string{ok: "✓", fail: "✗", none: "–"}[f.Verdict]
			}
		}
		if f := codecsOf(r, n); f != "" {
			mark += " " + f
		}
		line += " | " + mark
	}
	return line + " |\n"
}

// codecsOf is the list of codecs that a client was judged with, which differ from client to client.
func codecsOf(r result, capability string) string {
	for _, f := range r.Findings {
		if capability == "codecs" && f.Capability == capability && f.Verdict == ok {
			return f.Detail
		}
	}
	return ""
}

// remarks say what did not pass, and what did not run.
func remarks(results []result) string {
	var b strings.Builder
	b.WriteString("✓ passes, ✗ fails, – not asked: the client has no such thing, or others judge it, ? did not run.\n")
	for _, r := range results {
		if r.Missing != "" {
			fmt.Fprintf(&b, "- %s %s: %s\n", r.Title, r.Version, r.Missing)
		}
		for _, f := range r.Findings {
			if f.Verdict == fail {
				fmt.Fprintf(&b, "- %s %s, %s: %s\n", r.Title, r.Version, columns[f.Capability], f.Detail)
			}
		}
	}
	return b.String()
}
