// Package group is the coordinator of classic groups, consumer groups (KIP-848) and streams groups (KIP-1071): who is a member, who reads what, and how far
// the group has read.
//
// Machine is one classic group as a pure state machine in the manner of etcd's raft: it is told requests and the time, and Ready returns the
// answers to send, the documents to keep and what is worth a log line. It has no clock, goroutine, disk or network inside. ConsumerMachine is
// the same for a group of KIP-848, which decides itself who reads what with package assignor. A group changes from one to the other while members
// stay: migrate.go. StreamsMachine is one for an application of Kafka Streams, whose tasks package topology finds and package tasks shares out.
// Coordinator is the mutex and the one goroutine around all machines: its methods block until the answer is there, keep a machine's
// documents in a state.Store before an answer that depends on them leaves, and its cursors in a stream.Log under the owner "group/<id>".
//
// Member metadata and assignments are opaque bytes for any protocol type (consumer, connect, sr); only what a subscription of the type
// "consumer" names is looked at, where Kafka does so too: expiry and deletion of offsets, and static members that come back.
//
// Different from Apache Kafka by choice: the first join of an empty group waits 100 ms instead of 3 s for others; a member that was given an
// id and has not come back with it holds nobody up; a member whose connection is lost before it could learn its id is removed at once; and after
// a restart of the node a member that does not show itself is removed after 15 s, though its session may be longer.
//
// Share groups are not its business: see package share.
package group
