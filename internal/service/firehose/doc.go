// Package firehose serves the API of Amazon Data Firehose, 2015-08-04: delivery streams that carry records, put directly or read from a Kinesis
// stream, into objects. Service is the API and what runs behind it.
//
// A delivery stream is one document in State and one flow (package flow). Records put directly are appended to an internal stream of the
// log, "__firehose.<name>", before they are acknowledged, so that both kinds of source are the same from there on. The flow cuts batches by the
// buffering hints and plans each durably together with its object's whole name, so that an object that is written again, after an
// error or a crash, is the same object with the same bytes: no record is lost or delivered twice across kill -9.
//
// One set of delivery streams is shown in every region. Served destinations are S3DestinationConfiguration and
// ExtendedS3DestinationConfiguration, written to an object.Store. What is not served - other destinations and sources, format conversion, dynamic
// partitioning, processors other than AppendDelimiterToRecord, backups, encryption - is refused by name; the Ledger says so per member.
package firehose
