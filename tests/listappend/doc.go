// Package listappend judges the transactions of the real binary as Jepsen's Kafka workload does: clients of both forms of the protocol append words to
// partitions in transactions, commit and abort them, die, and take each other's transactional ids, while readers read committed and the node is killed and
// paused. Check then compares what everybody saw with what is there. Beside it two processes copy a topic with exactly-once semantics.
//
// Round is the clients, History what they saw, Check the judge, which is pure and has tests of its own.
package listappend
