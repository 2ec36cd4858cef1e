// Package share is the coordinator of share groups (KIP-932, with the renewals of KIP-1222): groups whose members take records from the same
// shards, each record at a time by one of them, and say of each what became of it.
//
// Window is one shard as one group sees it, and Group its members, both pure state machines: they are told requests and the time, and have no
// clock, goroutine, disk or network inside. Coordinator is the mutex and the goroutines around them: it reads the log, lets fetches wait,
// remembers share sessions, and keeps a document per group and per window in a state.Store before an answer that depends on it leaves.
//
//	offset   0 ........ start ............................. end ........ the log's end
//	         done with  acquired, available, acknowledged   not taken by anyone yet
//	                    or archived, in runs
//
// It refuses to know topics by name beyond what members subscribe to, and how anything looks on the wire.
package share
