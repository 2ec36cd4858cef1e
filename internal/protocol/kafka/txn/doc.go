// Package txn is the transaction coordinator: which producer a transactional id belongs to, which partitions and group offsets its open
// transaction has touched, and how it ended (KIP-98, 360, 447, 890).
//
// Txn is one transactional id as a pure state machine: a method is told a request and the time, and returns a Step: the Txn as it then is, whether
// that has to be kept before the answer leaves, and whether markers end the transaction with it. It has no clock, goroutine, disk or network inside.
// Coordinator is the locks, the store and the one goroutine around all of them.
//
// A transaction ends in one atomic change of the log: the markers of all partitions, the group offsets and the document that says so. So the
// states PrepareCommit and PrepareAbort, in which a coordinator of Apache Kafka lives while it sends markers to other brokers, are never entered,
// and a new producer that finds an open transaction is not told to come back: it waits for the disk, once.
//
// It refuses to know records, group members or the wire.
package txn
