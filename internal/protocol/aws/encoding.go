package aws

import (
	"net/http"
	"reflect"

	"github.com/freshet/freshet/internal/protocol/aws/codec"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// encoding is a protocol's form of requests, answers and errors. The encodings are data: a request picks one.
type encoding struct {
	name           string // in observations
	contentType    string
	smithyProtocol string // answered in the header of that name
	form           bool   // of the query protocol
	emptyBody      bool   // operations without input may come without a body
	rest           bool   // the operation is in method and path, an error's code in a header
	validationCode string // of the error for violated constraints
	unknownCode    string // of the error for operations that are not served

	decode func(body []byte, s *shape.Shape, v reflect.Value) error
	format payloadFormat
}

// rpcV2 is the value of the header that marks Smithy RPC v2 CBOR.
const rpcV2 = "rpc-v2-cbor"

var (
	json10Encoding = &encoding{
		name: "json-1.0", contentType: "application/x-amz-json-1.0", validationCode: "ValidationException", unknownCode: "UnknownOperationException",
		decode: codec.DecodeJSON, format: codec.AppendJSON,
	}
	json11Encoding = &encoding{
		name: "json-1.1", contentType: "application/x-amz-json-1.1", validationCode: "ValidationException", unknownCode: "UnknownOperationException",
		decode: codec.DecodeJSON, format: codec.AppendJSON,
	}
	// Kinesis's CBOR counts timestamps in milliseconds, whatever the standard says.
	kinesisEncoding = &encoding{
		name: "cbor-1.1", contentType: "application/x-amz-cbor-1.1", validationCode: "ValidationException", unknownCode: "UnknownOperationException",
		decode: codec.Milliseconds.Decode, format: codec.Milliseconds.Append,
	}
	rpcEncoding = &encoding{
		name: rpcV2, contentType: "application/cbor", smithyProtocol: rpcV2, emptyBody: true,
		validationCode: "ValidationException", unknownCode: "UnknownOperationException",
		decode: codec.Seconds.Decode, format: codec.Seconds.Append,
	}
	restJSONEncoding = &encoding{
		name: "rest-json", contentType: "application/json", emptyBody: true, rest: true,
		validationCode: "ValidationException", unknownCode: "UnknownOperationException",
		decode: codec.DecodeJSON, format: codec.AppendJSON,
	}
	queryEncoding = &encoding{
		name: "query", contentType: "text/xml", form: true, emptyBody: true, validationCode: "ValidationError", unknownCode: "InvalidAction",
		decode: codec.DecodeQuery,
	}
)

// encodingOf returns the encoding of a content type, if the service speaks it. A service that is not known here is told so in the encoding
// that it was asked in.
func encodingOf(contentType string, s *service) *encoding {
	switch contentType {
	case json10Encoding.contentType:
		if s == nil || s.Model.Speaks(shape.JSON10) {
			return json10Encoding
		}
	case json11Encoding.contentType:
		if s == nil || s.Model.Speaks(shape.JSON11) {
			return json11Encoding
		}
	case kinesisEncoding.contentType:
		if s == nil || s.Model.Info.BinaryVariant {
			return kinesisEncoding
		}
	case formType:
		if s == nil || s.Model.Speaks(shape.Query) {
			return queryEncoding
		}
	}
	return nil
}

// answer encodes an output; operations without output have an empty body.
func (c *encoding) answer(dst []byte, x *exchange, s *shape.Shape, v reflect.Value) []byte {
	if c.form {
		return codec.AppendQueryAnswer(dst, x.operationName, x.service.Model.Info.XMLNamespace, x.id, s, v)
	}
	if s == nil && c != rpcEncoding {
		return dst
	}
	return c.format(dst, s, v)
}

// failure encodes an error.
func (c *encoding) failure(x *exchange, status int, e *Error) []byte {
	if c.form {
		namespace := ""
		if x.service != nil {
			namespace = x.service.Model.Info.XMLNamespace
		}
		return codec.AppendQueryError(nil, namespace, x.id, status >= http.StatusInternalServerError, e.Code, e.Message)
	}
	body := map[string]string{"__type": e.Code}
	if c.rest {
		delete(body, "__type") // it is in the header
	}
	for name, value := range e.Fields {
		body[name] = value
	}
	if e.capitalMessage && e.Message != "" {
		body["Message"] = e.Message
	} else if e.Message != "" {
		body["message"] = e.Message
	}
	return c.format(nil, textMap, reflect.ValueOf(body))
}

// textMap is the shape of what errors are made of.
var textMap = &shape.Shape{Name: "TextMap", Kind: shape.Map, KeyShape: text, ElementShape: text}

var text = &shape.Shape{Name: "Text", Kind: shape.String}
