// Package aws is the AWS front door: one HTTP server (HTTP/1.1, HTTP/2, h2c; TLS on a second port) that serves every AWS API of a node. It
// routes a request to a service and operation, checks its signature, decodes and validates it against the generated shapes, calls a handler,
// and answers in the protocol the client spoke.
//
// A service says what it serves, with typed handlers, and hands the result to the front door:
//
//	func (s *Streams) API() aws.Service {
//		return aws.Service{
//			Model:  kinesis.Model,
//			Ledger: Ledger,
//			Operations: []aws.Operation{
//				aws.Handle("PutRecords", s.putRecords),
//				aws.HandleStream("SubscribeToShard", s.subscribeToShard),
//			},
//		}
//	}
//
//	func (s *Streams) putRecords(ctx context.Context, call *aws.Call, in *kinesis.PutRecordsInput) (*kinesis.PutRecordsOutput, error)
//
// When a handler runs, in is decoded and satisfies the constraints of the model (required members are there, lengths, values, patterns and
// enumerations hold), and holds no member that the ledger refuses. The handler may keep in and all it points to. An operation without output
// in the model has handlers that return *aws.None. Returned errors that are, or wrap, *Error are answered as such; every other error is
// logged and answered as the service's internal failure (HTTP 500) without its text. The context ends when the client goes away or the server stops hard.
//
// Operations which the model knows and the service does not list are answered with UnknownOperationException naming the operation.
//
// An operation with an event stream is answered in two steps. The handler checks the request; an error is an ordinary error answer. Else it
// returns a function that is called once the headers and the initial-response frame are on their way:
//
//	func (s *Streams) subscribeToShard(ctx context.Context, call *aws.Call, in *kinesis.SubscribeToShardInput) (aws.Run[kinesis.SubscribeToShardEventStream], error) {
//		...
//		return func(ctx context.Context, events *aws.EventWriter[kinesis.SubscribeToShardEventStream]) error {
//			return events.Send(&kinesis.SubscribeToShardEventStream{SubscribeToShardEvent: &event}) // one frame, flushed
//		}, nil
//	}
//
// The run function's *Error becomes an exception frame, nil a normal end of the stream.
//
// The types to know are Service, Operation, Call, Error and Ledger; FrontDoor is the server. The package refuses to know what any operation
// means, and keeps no state between requests beyond its counters.
package aws

//go:generate go run github.com/freshet/freshet/tools/awsgen -out model
