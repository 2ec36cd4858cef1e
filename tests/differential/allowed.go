package main

import (
	"regexp"
	"strings"
)

// allowance explains differences: all patterns that are set must match.
type allowance struct {
	reason                                  string
	scenario, request, path, kafka, freshet *regexp.Regexp
}

func (a *allowance) explains(d difference) bool {
	for _, m := range []struct {
		pattern *regexp.Regexp
		value   string
	}{{a.scenario, d.scenario}, {a.request, d.request}, {a.path, d.path}, {a.kafka, d.kafka}, {a.freshet, d.freshet}} {
		if m.pattern != nil && !m.pattern.MatchString(m.value) {
			return false
		}
	}
	return true
}

// lucky says that the difference may not come up in a run: it takes a random request.
func (a *allowance) lucky() bool {
	return a.scenario != nil && strings.HasPrefix(a.scenario.String(), "^random")
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// allowed are the differences that are meant.
var allowed = []allowance{
	{
		reason:  "requests not served",
		request: re("^ApiVersions"), path: re(`^ApiKeys\[`), freshet: re("^.absent.$"),
	},
	{
		reason:  "lower versions are served where that costs nothing: old clients turn features off whose lowest version they do not know",
		request: re("^ApiVersions"), path: re(`^ApiKeys\[`), kafka: re("[1-9]-"), freshet: re(" 0-"),
	},
	{
		reason:  "features not served, or of the controllers among themselves",
		request: re("^ApiVersions"), path: re(`Features\[`), freshet: re("^.absent.$"),
	},
	{
		reason: "a config of freshet's own, and those that tools made for older brokers ask for",
		path:   re(`Configs\[(freshet\.durability|message\.(downconversion\.enable|format\.version|timestamp\.difference\.max\.ms))\]$`), kafka: re("^.absent.$"),
	},
	{
		reason: "every record is on the disk before it is acknowledged",
		path:   re(`Configs\[flush\.messages\]`), kafka: re("9223372036854775807"), freshet: re(`"1"`),
	},
	{
		reason: "Kafka's controllers set min.insync.replicas for the cluster when they begin",
		path:   re(`Configs\[min\.insync\.replicas\]`),
	},
	{
		reason:   "Kafka finds the partitions of an application's own topics with the second heartbeat",
		scenario: re("^applications/described$"), request: re("^StreamsGroupDescribe"), path: re("NumPartitions$"), kafka: re("^0$"), freshet: re("^4$"),
	},
	{
		reason:   "a member that has other tasks than it was told is told again: the answer may have been lost",
		scenario: re("^applications/first still has it$"), request: re("^StreamsGroupHeartbeat"), path: re(`^ActiveTasks\[`), kafka: re("^.absent.$"),
	},
	{
		reason: "the words of an error's explanation",
		path:   re(`ErrorMessage$`), kafka: re(`^"..`), freshet: re(`^"..`),
	},
	{
		reason: "an error that Kafka does not explain",
		path:   re(`ErrorMessage$`), kafka: re(`^(null|"")$`), freshet: re(`^"..`),
	},
	{
		reason:  "Produce 0 to 2 are advertised for old librdkafka only: they are answered UNSUPPORTED_VERSION, and Kafka closes the connection",
		request: re("^Produce v[012]$"),
	},
	{
		reason:   "freshet reads what clients push; Kafka leaves that to a plugin, and the one it has here throws it away",
		scenario: re("^telemetry/plain, no message$"),
		request:  re("^PushTelemetry"), kafka: re("^0$"), freshet: re("^87$"),
	},
	{
		reason: "an operation on a config that is none: Kafka fails in it, and answers UNKNOWN_SERVER_ERROR",
		path:   re(`ErrorCode$`), scenario: re("unknown operation"), kafka: re("^-1$"), freshet: re("^42$"),
	},
	{
		reason:   "a codec that is none: Kafka fails in it, and answers UNKNOWN_SERVER_ERROR",
		scenario: re("produce/codec 5"),
	},
	{
		reason:   "bytes behind a batch are refused; Kafka cuts them off and says nothing",
		scenario: re("produce/bytes behind"),
	},
	{
		reason:   "Fetch returns whole batches only: Kafka fills a partition's bytes with the beginning of the next one",
		scenario: re("fetch/several"), path: re("RecordBatches"),
	},
	{
		reason:   "Metadata 10 and 11 with a topic id: that topic is refused; Kafka refuses all and leaves the brokers out",
		scenario: re("metadata/by id|random"), request: re("^Metadata v1[01]$"),
	},
	{
		reason:   "where a partition starts is also told with errors that Kafka finds before it looks at the partition",
		scenario: re("^(produce|transactions)/"), path: re("LogStartOffset$"), kafka: re("^-1$"),
	},
	{
		reason:   "a batch in a format that is none yet",
		scenario: re("produce/magic 3"), path: re("ErrorCode$"), kafka: re("^2$"), freshet: re("^87$"),
	},
	{
		reason: "of Kafka's internal topics there is the one of committed offsets",
		path:   re(`\[__(transaction_state|share_group_state)(/2)?\]`), freshet: re("^.absent.$"),
	},
	{
		reason:   "Kafka tells a repeated batch's own time",
		scenario: re("^(idempotence/.*repeated|transactions/.*produced again)"), path: re("LogAppendTime"),
	},
	{
		reason:   "an old repeat is told from a gap: DUPLICATE_SEQUENCE_NUMBER, which clients take for success",
		scenario: re("^idempotence/long ago"), path: re("ErrorCode"), kafka: re("^45$"), freshet: re("^46$"),
	},
	{
		reason:   "an epoch that cannot be is a malformed batch",
		scenario: re("^idempotence/negative epoch"), path: re("ErrorCode"), kafka: re("^47$"), freshet: re("^87$"),
	},
	{
		reason:   "aborted transactions that begin behind the last record of an answer are not in it: Kafka looks as far as its index is coarse",
		scenario: re("^committed/"), path: re(`AbortedTransactions\[`), freshet: re("^.absent.$"),
	},
	{
		reason:  "a group is not there before somebody has joined it",
		request: re("^ListGroups"), path: re(`Groups\[faulty\]`), freshet: re("^.absent.$"),
	},
	{
		reason:  "a page of topics: Kafka's internal ones come before others, here there is one",
		request: re("^DescribeTopicPartitions"), scenario: re("^random"),
	},
	{
		reason:  "a filter for ACLs with values that do not exist: Kafka closes the connection",
		request: re("^DescribeACLs"), scenario: re("^random"),
	},
	{
		reason:   "a rule with a number that stands for any or for nothing: Kafka fails at it (UNKNOWN_SERVER_ERROR), or closes the connection",
		scenario: re(`^rules/made, .*(kind [01] |pattern [012] |operation [01] |verdict [01]$)`), request: re("^CreateACLs"),
		kafka: re("^(-1|connection closed|.absent.)$"),
	},
	{
		reason:  "who may not see credentials is told so once; Kafka repeats it for each, without a name",
		request: re("^DescribeUserSCRAMCredentials"), path: re(`^Results\[\]$`), kafka: re("^present$"), freshet: re("^.absent.$"),
	},
	{
		reason:   "a limit that is not finite: Kafka keeps it",
		scenario: re(`^quotas/.*=(NaN|\+Inf)$`), path: re("ErrorCode$"), kafka: re("^0$"), freshet: re("^42$"),
	},
	{
		reason:   "credentials that are made and removed in a request: Kafka looks for what is to be removed first",
		scenario: re("^credentials/made and removed"), path: re("ErrorCode$"), kafka: re("^91$"), freshet: re("^92$"),
	},
	{
		reason: "what changes in a group is assigned at once",
		path:   re(`Configs\[(consumer|streams)\.assignment\.interval\.ms\]\.Value$`), kafka: re(`^"1000"$`), freshet: re(`^"0"$`),
	},
	{
		reason: "the first member of a streams group waits 100 ms for others, as that of a classic group does",
		path:   re(`Configs\[streams\.initial\.rebalance\.delay\.ms\]\.Value$`), kafka: re(`^"3000"$`), freshet: re(`^"100"$`),
	},
	{
		reason:   "Kafka fails at it: UNKNOWN_SERVER_ERROR",
		scenario: re("^random"), path: re("ErrorCode$"), kafka: re("^-1$"),
	},
	{
		reason:  "ElectLeaders of all: Kafka lists the topics, without partitions",
		request: re("^ElectLeaders"), scenario: re(`leaders of \[\]`), freshet: re("^.absent.$"),
	},
	{
		reason:   "a topic without partitions in ListOffsets: Kafka leaves it out",
		scenario: re("^random"), request: re("^ListOffsets"), path: re(`^Topics\[[^\[]*\]$`), kafka: re("^.absent.$"),
	},
	{
		reason:   "Metadata with topics both by name and by id, or with neither: Kafka looks at the ids only, or fails",
		scenario: re("^random"), request: re("^Metadata v(8|12|13)$"),
	},
	{
		reason:  "this node keeps no log of Kafka's controllers, and has no listener for them",
		request: re("^DescribeQuorum"), path: re("LogEndOffset|HighWatermark|LeaderEpoch|Listeners|ReplicaDirectoryID"),
	},
	{
		reason:  "a voter that cannot be: Kafka waits for it",
		request: re("^AddRaftVoter"), scenario: re("voter 7"),
	},
	{
		reason:  "features are not served, or cannot be turned off",
		request: re("^UpdateFeatures"), scenario: re("to what it is|an unknown way"),
	},
	{
		reason:   "Kafka lists partitions of a share session that it has looked at in vain",
		scenario: re("^queues"), request: re("^ShareFetch"), path: re(`^Topics\[id of shared\]$`), kafka: re("^present$"), freshet: re("^.absent.$"),
	},
	{
		reason:   "users are the same for every mechanism; those of Kafka's PLAIN are in its settings, and have no credentials of SCRAM",
		scenario: re("^random"), request: re("^DescribeUserSCRAMCredentials"), path: re(`^Results\[(alice|bob)\]$`), kafka: re("^.absent.$"),
	},
	{
		reason:   "a token with a renewer without a name is refused",
		scenario: re("^tokens/with nobody as renewer"),
	},
	{
		reason:   "a token that has expired is refused; Kafka lets clients in with it until it is removed, once an hour",
		scenario: re("^tokens/presented when it has expired"), path: re("^(ErrorCode|ErrorMessage|SessionLifetimeMillis)$"),
	},
	{
		reason:   "a transactional id that is none: its producer is 0, which either side may have given to another",
		scenario: re("^random"), request: re("^DescribeTransactions"), path: re(`ProducerID$|^TransactionStates\[producer#`),
	},
	{
		reason:   "share groups that are none, asked for with names that are none: Kafka fails at some of them",
		scenario: re("^random"), request: re("^(ShareGroupDescribe|DescribeShareGroupOffsets)"),
	},
	{
		reason:   "a leader epoch below -1 is answered like -1",
		scenario: re("^random"), request: re("^OffsetForLeaderEpoch"), kafka: re("^(0|-[2-9])$"), freshet: re("^-1$"),
	},
	{
		reason:   "OffsetFetch of topics by an id that is none: Kafka asks for each once",
		scenario: re("^random"), request: re("^OffsetFetch v10"), path: re(`^Groups\[.*\]\.Topics\[`),
	},
}
