package aws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	// answerShare is what every request reserves for its answer. Answers that carry blobs reserve their size once it is known.
	answerShare = 64 << 10
	// firstShare is how much of a body is reserved before any of it has arrived.
	firstShare = 1 << 20
)

var (
	errTooLarge = errors.New("request body is too large")
	errEncoding = errors.New("content encoding is not supported")
)

// readBody reads and decompresses the body into memory from the budget. False means that the request is answered.
func (x *exchange) readBody() bool {
	limit := int64(DefaultMaxBodyBytes)
	if x.service != nil {
		limit = x.service.MaxBodyBytes
	}
	if x.r.ContentLength > limit {
		x.refuseBody(errTooLarge)
		return false
	}
	first := int64(firstShare)
	if x.r.ContentLength >= 0 {
		first = min(first, x.r.ContentLength)
	}
	taken, err := x.door.budget.acquire(x.r.Context(), first+answerShare)
	if err != nil {
		x.refuseBody(err)
		return false
	}
	x.reserved = taken

	controller := http.NewResponseController(x.w)
	if x.door.deadlines {
		_ = controller.SetReadDeadline(x.door.config.Clock.Now().Add(x.door.config.BodyTimeout))
	}
	x.wire, err = x.readAll(x.r.Body, x.r.ContentLength, first, limit)
	if err == nil {
		x.bytesIn = int64(len(x.wire))
		x.body, err = x.decompress(limit)
	}
	if err != nil {
		x.refuseBody(err)
		return false
	}
	if x.door.deadlines {
		// The server watches the connection for the client's leaving while the handler runs: no deadline may look like that.
		_ = controller.SetReadDeadline(time.Time{})
	}
	return true
}

// readAll reads at most limit bytes, of which reserved are in the budget already. length is the expected size, -1 if unknown.
func (x *exchange) readAll(r io.Reader, length, reserved, limit int64) ([]byte, error) {
	if length == 0 {
		return nil, nil
	}
	buf := make([]byte, 0, reserved)
	for {
		if len(buf) == cap(buf) {
			if length >= 0 && int64(len(buf)) == length {
				return buf, nil
			}
			size := int64(max(2*cap(buf), 4<<10))
			if length >= 0 {
				size = min(size, length)
			}
			size = min(size, limit+1)
			if int64(len(buf)) >= size {
				return nil, errTooLarge
			}
			if more := size - int64(cap(buf)); x.door.budget.extend(more) {
				x.reserved += more
			} else {
				return nil, errBusy
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, errTooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, fmt.Errorf("read body: %w", err)
		}
	}
}

// decompress undoes the content encoding. The limit holds for the result too, so that a small body cannot become a huge one.
func (x *exchange) decompress(limit int64) ([]byte, error) {
	switch coding := strings.ToLower(strings.TrimSpace(x.r.Header.Get("Content-Encoding"))); coding {
	case "", "identity", "amz-1.0":
		return x.wire, nil
	case "gzip":
	default:
		return nil, fmt.Errorf("%w: %.40q", errEncoding, coding)
	}
	z, err := gzip.NewReader(bytes.NewReader(x.wire))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEncoding, err)
	}
	body, err := x.readAll(z, -1, 0, limit)
	if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errBusy) {
		return nil, fmt.Errorf("%w: %w", errEncoding, err)
	}
	return body, err
}

// refuseBody answers a request whose body could not be taken, and closes the connection: the rest of the body is not read.
func (x *exchange) refuseBody(err error) {
	log := x.door.config.Log
	x.w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge):
		log.Warn("aws request too large", x.logAttributes("bytes", x.r.ContentLength)...)
		x.code, x.status = "RequestEntityTooLarge", http.StatusRequestEntityTooLarge
		x.w.WriteHeader(x.status)
	case errors.Is(err, errBusy):
		log.Warn("aws request refused: memory for requests is used up", x.logAttributes("limit", x.door.budget.limit)...)
		x.fail(noMemory())
	case errors.Is(err, errEncoding):
		x.fail(&Error{Code: "SerializationException", Message: err.Error(), capitalMessage: true})
		x.turnedAway()
	default:
		// The client stopped sending, or was too slow: nobody reads an answer.
		log.Info("aws request incomplete", x.logAttributes("error", err)...)
		x.code, x.status = "RequestTimeout", http.StatusRequestTimeout
		x.w.WriteHeader(x.status)
	}
}

func noMemory() *Error {
	return &Error{Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable, Message: "The server has no memory for another request. Try again."}
}

// reserveAnswer exchanges the request's share of the budget for that of a large answer: giving back before taking, requests never wait for each
// other in a circle. False means that the request is answered.
func (x *exchange) reserveAnswer(size int64) bool {
	if size <= answerShare {
		return true
	}
	x.release()
	taken, err := x.door.budget.acquire(x.r.Context(), size)
	if err != nil {
		x.door.config.Log.Warn("aws answer refused: memory for requests is used up", x.logAttributes("bytes", size, "limit", x.door.budget.limit)...)
		x.fail(noMemory())
		return false
	}
	x.reserved = taken
	return true
}

// release gives the request's share of the budget back.
func (x *exchange) release() {
	if x.reserved > 0 {
		x.door.budget.release(x.reserved)
		x.reserved = 0
	}
}
