// Package kinesis is Amazon Kinesis Data Streams on the log: a Kinesis stream is a stream of the log, shard i is shard i of it, a record's
// partition key is the record's key, its data the value, its arrival time the time the log took it, and its sequence number has the offset inside.
// What Kafka producers wrote is read here, and the other way round.
//
// Service is the API with its handlers; view joins a stream with its Kinesis settings; sequence, hashKey and iterator are what clients see of
// positions. What Kinesis knows of a stream beyond the log's own facts is its settings document (settings.go).
//
// The package keeps no position for anybody: iterators and tokens carry it, signed. It refuses to know encodings and HTTP, which are
// the front door's, and operations of Kinesis that it does not list are refused by name there.
package kinesis
