// Package group is the coordinator of classic consumer groups: who is a member, which generation runs, what the leader assigned, and how
// far the group has read.
//
// Machine is one group as a pure state machine in the manner of etcd's raft: it is told requests and the time, and Ready returns the
// answers to send, the document to keep and what is worth a log line. It has no clock, goroutine, disk or network inside.
// Coordinator is the mutex and the one goroutine around all machines: its methods block until the answer is there, keep a machine's
// document in a state.Store before an answer that depends on it leaves, and its cursors in a stream.Log under the owner "group/<id>".
//
// Member metadata and assignments are opaque bytes for any protocol type (consumer, connect, sr); only what a subscription of the type
// "consumer" names is looked at, where Kafka does so too: expiry and deletion of offsets, and static members that come back.
//
// Different from Apache Kafka by choice: the first join of an empty group waits 100 ms instead of 3 s for others; a member that was given an
// id and has not come back with it holds nobody up; a member whose connection is lost before it could learn its id is removed at once; and after
// a restart of the node a member that does not show itself is removed after 15 s, though its session may be longer.
//
// It refuses the consumer (KIP-848), share and streams group protocols: those are other state machines.
package group
