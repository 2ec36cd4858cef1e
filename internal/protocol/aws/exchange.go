package aws

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/codec"
	"github.com/freshet/freshet/internal/protocol/aws/constraint"
)

// exchange is one request on its way through the door and its answer.
type exchange struct {
	door    *FrontDoor
	w       http.ResponseWriter
	r       *http.Request
	started time.Time
	id      string

	route
	wire  []byte // the body as it was sent, which is what signatures cover
	body  []byte // the body, decompressed
	call  Call
	share share // of the budget

	status            int
	code              string // of the error that was answered
	bytesIn, bytesOut int64
}

// serve takes the request through its checks in AWS's order: size, method, body, content type, syntax, operation, signature, types, constraints;
// then what the ledger refuses; then the operation itself.
func (x *exchange) serve() {
	x.route = x.door.routeByHeader(x.r)
	x.setCommonHeaders()
	if x.preflight() {
		return
	}
	if !x.readBody() {
		return
	}
	x.route = x.door.routeByForm(x.r, x.body, x.route)
	if x.encoding == queryEncoding && len(x.body) == 0 {
		x.body = []byte(x.r.URL.RawQuery) // a query request may be all in its target
	}
	if x.refuseTransport() {
		x.turnedAway()
		return
	}
	denied := x.authenticate()
	in, err := x.decode(denied == nil)
	switch {
	case errors.Is(err, codec.ErrSyntax):
		x.fail(x.malformed(err))
	case denied != nil:
		x.fail(denied)
	case x.operation == nil:
		x.fail(x.notServed())
	case err != nil:
		x.fail(x.malformed(err))
	default:
		x.run(in)
		return
	}
	x.turnedAway()
}

// decode reads the input. With full unset, or for an operation that is not served, it only checks the syntax.
func (x *exchange) decode(full bool) (any, error) {
	switch {
	case x.encoding.rest && (x.operation == nil || !full):
		return nil, nil
	case x.operation == nil || !full:
		return nil, x.encoding.decode(x.body, nil, reflect.Value{})
	}
	in := x.operation.newInput()
	if x.encoding.rest {
		return in, x.decodeRest(x.operation.model.InputShape, reflect.ValueOf(in).Elem())
	}
	return in, x.encoding.decode(x.body, x.operation.model.InputShape, reflect.ValueOf(in).Elem())
}

// run checks the input against the model and the ledger and calls the handler.
func (x *exchange) run(in any) {
	if s := x.operation.model.InputShape; s != nil {
		v := reflect.ValueOf(in).Elem()
		for _, i := range x.operation.unread {
			v.Field(i).SetZero()
		}
		if message, member := constraint.Check(s, v, x.service.javaPackage); message != "" {
			x.fail(x.invalid(message, member))
			return
		}
		if e := x.operation.refusal.find(v, x); e != nil {
			x.fail(e)
			return
		}
	}
	if x.operation.open != nil {
		x.stream(in)
		return
	}
	out, err := x.operation.call(x.r.Context(), &x.call, in)
	if err != nil {
		x.fail(x.toError(err))
		return
	}
	x.answer(out)
}

// answer writes the output of an operation: nothing at all, with status 200, for operations without output.
func (x *exchange) answer(out any) {
	s, v := x.operation.model.OutputShape, reflect.ValueOf(out).Elem()
	size := int64(0)
	if x.operation.bulky {
		if size = codec.Size(s, v); !x.reserveAnswer(size) {
			return
		}
	}
	buffer := answers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= maxPooledAnswer {
			answers.Put(buffer)
		}
	}()
	*buffer = x.encoding.answer(slices.Grow((*buffer)[:0], int(size)), x, s, v) // a large one that grows step by step is mostly copied
	x.write(cmp.Or(x.operation.model.Status, http.StatusOK), *buffer)
}

// answers pools the buffers of answers up to a size, that of 10 MiB of records in base64; larger ones are rare and left to the collector.
var answers = sync.Pool{New: func() any { return new([]byte) }}

const maxPooledAnswer = 16 << 20

// toError returns what the client sees of a handler's error. What is no *Error is the server's own fault: its text stays in the log.
func (x *exchange) toError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if x.r.Context().Err() != nil {
		x.door.config.Log.Debug("aws request abandoned", x.logAttributes("error", err)...)
	} else {
		x.door.config.Log.Error("aws request failed", x.logAttributes("error", err)...)
	}
	return x.internalFailure()
}

func (x *exchange) internalFailure() *Error {
	code := "InternalFailure"
	if x.encoding != nil && x.encoding.rest && x.service.Model.Exception("InternalServerErrorException") != nil {
		code = "InternalServerErrorException"
	}
	return &Error{Code: code, Status: http.StatusInternalServerError, Message: "The request failed inside the server; the server's log has the reason under request id " + x.id + "."}
}

// maxLoggedName bounds the operation in log lines: before it is found in the model, it is whatever the client says.
const maxLoggedName = 100

func (x *exchange) logAttributes(more ...any) []any {
	service, operation := "", x.operationName
	if x.service != nil {
		service = x.service.Model.Info.EndpointName
	}
	if len(operation) > maxLoggedName {
		operation = operation[:maxLoggedName]
	}
	return append([]any{"service", service, "operation", operation, "request", x.id, "peer", x.r.RemoteAddr}, more...)
}

// turnedAway logs that a request was answered before any handler saw it, being malformed, of nobody known or for what is not served. Its client
// is wrongly made or configured, or no client at all: somebody has to find it.
func (x *exchange) turnedAway() {
	x.door.config.Log.Info("aws request turned away", x.logAttributes("code", x.code, "status", x.status)...)
}

// fail answers with an error in the form of the request's protocol.
func (x *exchange) fail(e *Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
		if x.service != nil {
			if declared := x.service.Model.Exception(e.Code); declared != nil {
				status = declared.Status
			}
		}
	}
	x.code = e.Code
	if x.encoding == nil {
		x.failXML(status, e)
		return
	}
	if x.encoding.rest {
		x.w.Header().Set("X-Amzn-Errortype", e.Code)
	}
	x.write(status, x.encoding.failure(x, status, e))
}

// write sends a whole answer.
func (x *exchange) write(status int, body []byte) {
	h := x.w.Header()
	if x.encoding != nil {
		h.Set("Content-Type", x.encoding.contentType)
		if x.encoding.smithyProtocol != "" {
			h.Set("Smithy-Protocol", x.encoding.smithyProtocol)
		}
	}
	x.setWriteDeadline()
	x.status = status
	x.w.WriteHeader(status)
	n, err := x.w.Write(body)
	x.bytesOut += int64(n)
	if err != nil {
		x.door.config.Log.Debug("aws answer not taken", x.logAttributes("error", err)...)
	}
}

// stream answers with an event stream: an ordinary error if the handler refuses, else frames until the handler, the client or the server ends it.
func (x *exchange) stream(in any) {
	run, err := x.operation.open(x.r.Context(), &x.call, in)
	if err != nil {
		x.fail(x.toError(err))
		return
	}
	x.release() // what the request occupied is the handler's now; a stream lasts minutes
	x.wire, x.body = nil, nil
	x.w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)

	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(x.door.draining, cancel)()
	controller := http.NewResponseController(x.w)
	sink := newEventSink(x.w, x.setWriteDeadline, controller.Flush, x.operation.model.Events, x.encoding.format, x.encoding.contentType)
	defer func() { x.bytesOut += sink.written }()
	if err = sink.open(); err == nil {
		err = run(ctx, sink)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	e := x.inModel(x.toError(err))
	x.code = e.Code
	if err := sink.fail(e); err != nil {
		x.door.config.Log.Debug("aws stream not taken", x.logAttributes("error", err)...)
	}
}

// inModel returns an error that ends a stream under a name which the model declares: clients turn exception frames into the types of their model,
// and what the front door itself says of its faults, InternalFailure, is none of them.
func (x *exchange) inModel(e *Error) *Error {
	const fault = "InternalFailureException"
	if m := x.service.Model; m.Exception(e.Code) == nil && m.Exception(fault) != nil {
		return &Error{Code: fault, Message: e.Message}
	}
	return e
}

// finish releases what the request held, turns a panic into an answer, and reports the request.
func (x *exchange) finish() {
	x.release()
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			panic(p)
		}
		x.door.config.Log.Error("aws request panicked", x.logAttributes("panic", p, "stack", string(debug.Stack()))...)
		if x.status != 0 {
			panic(http.ErrAbortHandler) // half an answer is out: only a broken connection tells the client
		}
		x.fail(x.internalFailure())
	}
	if x.door.config.Observe != nil {
		x.door.config.Observe(x.observation())
	}
}

func (x *exchange) setWriteDeadline() {
	if x.door.deadlines {
		// A connection that cannot have deadlines, such as a recorder in a test, does without.
		_ = http.NewResponseController(x.w).SetWriteDeadline(x.door.config.Clock.Now().Add(x.door.config.WriteTimeout))
	}
}

// refuseTransport answers what AWS's front end answers before any service sees the request.
func (x *exchange) refuseTransport() bool {
	if x.service != nil && x.encoding != nil && x.encoding.form {
		return x.refuseForm()
	}
	if x.service != nil && x.encoding != nil && x.encoding.rest {
		return x.refuseRest()
	}
	if x.encoding == nil && x.target == "" && x.signedFor != "" && x.door.bySigning[x.signedFor] == nil {
		x.refuseService()
		return true
	}
	cannotTell := &Error{Code: "AccessDeniedException", Status: http.StatusForbidden, Message: "Unable to determine service/operation name to be authorized"}
	if x.r.Method != http.MethodPost {
		x.encoding = nil
		x.fail(cannotTell)
		return true
	}
	known := x.service != nil && x.modelled != nil
	switch {
	case len(x.body) == 0 && x.encoding != nil && !x.encoding.emptyBody:
		if known {
			x.fail(&Error{Code: "SerializationException", capitalMessage: true})
		} else {
			x.fail(x.unknownOperation())
		}
		return true
	case x.encoding == nil && (x.target == "" || x.operationName == ""):
		x.fail(cannotTell)
		return true
	case x.encoding == nil && mediaType(x.r) == "application/json":
		x.code, x.status = "UnknownOperationException", http.StatusNotFound
		x.w.Header().Set("Content-Type", "application/json")
		x.write(http.StatusNotFound, []byte(`{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`))
		return true
	case x.encoding == nil:
		x.fail(&Error{Code: "UnknownOperationException", Status: http.StatusNotFound})
		return true
	case !known:
		if err := x.encoding.decode(x.body, nil, reflect.Value{}); err != nil {
			x.fail(&Error{Code: "SerializationException", capitalMessage: true})
		} else {
			x.fail(x.unknownOperation())
		}
		return true
	}
	return false
}

// refuseForm is refuseTransport for the query protocol.
func (x *exchange) refuseForm() bool {
	if x.modelled != nil && (x.version == "" || x.version == x.service.Model.Info.APIVersion) {
		return false
	}
	version := cmp.Or(x.version, x.service.Model.Info.APIVersion)
	x.fail(&Error{Code: "InvalidAction", Message: "Could not find operation " + x.operationName + " for version " + version})
	return true
}

// unknownOperation refuses a name that no model here knows.
func (x *exchange) unknownOperation() *Error {
	e := &Error{Code: "UnknownOperationException"}
	switch {
	case x.service == nil && x.target != "":
		e.Message = "This endpoint does not serve the API of the target " + x.target + "."
	case x.service == nil && x.signedFor != "":
		e.Message = "This endpoint does not serve the API of " + x.signedFor + "."
	}
	return e
}

// refuseService answers a request that is signed for an API which is not served and that looks like one of the rest protocols: S3 in the words
// of S3, all others as REST JSON does, with the code in a header.
func (x *exchange) refuseService() {
	message := "This endpoint does not serve the API of " + x.signedFor + "."
	if x.signedFor == "s3" {
		x.code = "NotImplemented"
		x.w.Header().Set("Content-Type", "application/xml")
		x.w.Header().Set("X-Amz-Request-Id", x.id)
		x.write(http.StatusNotImplemented, []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code><Message>"+
			xmlText.Replace(message)+"</Message><RequestId>"+x.id+"</RequestId></Error>"))
		return
	}
	x.encoding = restJSONEncoding
	x.fail(&Error{Code: "UnknownOperationException", Message: message})
}

// notServed refuses an operation that AWS has and this server does not. Tools such as Terraform read UnknownOperationException as a feature that
// the endpoint does not have.
func (x *exchange) notServed() *Error {
	message := "The operation " + x.operationName + " of " + x.service.Model.Info.ID + " is not implemented by freshet"
	if reason := x.service.Refused[x.operationName]; reason != "" {
		message += ": " + reason
	}
	return &Error{Code: x.encoding.unknownCode, Message: message + "."}
}
