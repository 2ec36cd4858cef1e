// Package offsets writes the topic __consumer_offsets: what groups have committed and who is in them, in Apache Kafka's own records, for those who
// read them there, such as exporters of lag.
//
// The node keeps offsets as cursors of its log, and groups as documents: that is the truth, and what protocols answer from. Mirror makes the topic follow
// it. It writes nothing until somebody reads the topic, and stops when nobody has for a day. Then, and after a restart, it compares what the topic says
// last of each key with the truth, and appends what differs: records, and tombstones for what is gone. From there on each commit is followed by its
// record, in the order of commits. Whatever it may have missed (two commits of one group at the same moment, a topic that was deleted) is compared
// again within a second.
//
//	commit ──▶ engine (durable) ──▶ Mirror.Committed ──▶ queue ──▶ Run: records ──▶ the topic
//	member, removal ──▶ store  ──▶ Mirror.Changed ────▶ names ──▶ Run: compare ──▶ the topic
//
// It refuses to be read by the node itself: losing the topic loses nothing.
package offsets
