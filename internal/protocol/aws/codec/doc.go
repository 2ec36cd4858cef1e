// Package codec turns bytes into the structs of the generated AWS shapes and back: AWS JSON 1.x, Kinesis's CBOR and Smithy RPC v2 CBOR, and
// the form requests and XML answers of the query protocol. Each is one walk over the shape tables, so a further service brings no code here.
//
// A value that does not fit its shape is a *SerializationError with the text that AWS answers; members the shape does not know are skipped, as
// AWS does. The package refuses to know operations, services, HTTP and what any member means.
package codec

// maxDepth bounds how deep a request may nest, known members or not.
const maxDepth = 64

// SerializationError says why bytes are not the expected structure, in AWS's words where they are known. Message may be empty: AWS says
// nothing about bytes that are no JSON or CBOR at all.
type SerializationError struct{ Message string }

// Error is for the log: it says something even where AWS does not.
func (e *SerializationError) Error() string {
	if e.Message == "" {
		return "malformed request body"
	}
	return e.Message
}
