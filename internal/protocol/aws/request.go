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
	// answerShare is what every request reserves for its answer. Larger answers that carry blobs reserve their size once it is known.
	answerShare = 32 << 10
	// firstBuffer takes the beginning of a body; it is the connection's, not the budget's, so that who only says that it will send holds nothing.
	firstBuffer = 4 << 10
	// leap is how many times as much as has arrived of a body is reserved for the rest, if its length is known.
	leap = 8
	// lingering is how long the rest of a refused body is taken.
	lingering = 2 * time.Second
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
	x.allowReading(x.door.config.BodyTimeout)
	var err error
	x.wire, err = x.readAll(x.r.Body, x.r.ContentLength, limit)
	if err == nil {
		x.bytesIn = int64(len(x.wire))
		x.body, err = x.decompress(limit)
	}
	if err == nil {
		err = x.share.reserveAnswer(x.r.Context(), answerShare)
	}
	if err != nil {
		x.refuseBody(err)
		return false
	}
	// The server watches the connection for the client's leaving while the handler runs: no deadline may look like that.
	x.allowReading(0)
	return true
}

// allowReading sets how long the client may take to send what is read next, 0 = forever.
func (x *exchange) allowReading(d time.Duration) {
	if !x.door.deadlines {
		return
	}
	deadline := time.Time{}
	if d > 0 {
		deadline = x.door.config.Clock.Now().Add(d)
	}
	_ = http.NewResponseController(x.w).SetReadDeadline(deadline)
}

// grow takes n bytes more of the budget. Who gets the lane may take no longer to send than others wait for it.
func (x *exchange) grow(n int64) error {
	laned := x.share.lane
	err := x.share.grow(x.r.Context(), n)
	if err == nil && x.share.lane && !laned {
		x.allowReading(x.door.config.QueueTimeout)
	}
	return err
}

// readAll reads at most limit bytes. length is the expected size, -1 if unknown.
func (x *exchange) readAll(r io.Reader, length, limit int64) ([]byte, error) {
	if length == 0 {
		return nil, nil
	}
	size, more := min(limit+1, firstBuffer), int64(2)
	if length > 0 {
		size, more = min(length, firstBuffer), leap
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) == length {
				return buf, nil
			}
			size = min(more*size, limit+1)
			if length > 0 {
				size = min(size, length)
			}
			if err := x.grow(size - int64(len(buf))); err != nil {
				return nil, err
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
	body, err := x.readAll(z, -1, limit)
	if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errBusy) {
		return nil, fmt.Errorf("%w: %w", errEncoding, err)
	}
	return body, err
}

// refuseBody answers a request whose body could not be taken, and closes the connection.
func (x *exchange) refuseBody(err error) {
	log := x.door.config.Log
	x.w.Header().Set("Connection", "close")
	lingers := x.r.ProtoMajor == 1 && x.door.deadlines
	if lingers {
		_ = http.NewResponseController(x.w).EnableFullDuplex() // the answer first, then the rest
	}
	switch {
	case errors.Is(err, errTooLarge):
		log.Warn("aws request too large", x.logAttributes("bytes", x.r.ContentLength)...)
		x.code, x.status = "RequestEntityTooLarge", http.StatusRequestEntityTooLarge
		x.w.WriteHeader(x.status)
	case errors.Is(err, errBusy):
		log.Warn("aws request refused: memory for requests is used up", x.logAttributes("limit", x.door.config.MaxInFlightBytes)...)
		x.fail(noMemory())
	case errors.Is(err, errEncoding):
		x.fail(&Error{Code: "SerializationException", Message: err.Error(), capitalMessage: true})
		x.turnedAway()
	default:
		// The client stopped sending, or was too slow: nobody reads an answer.
		log.Info("aws request incomplete", x.logAttributes("error", err)...)
		x.code, x.status = "RequestTimeout", http.StatusRequestTimeout
		x.w.WriteHeader(x.status)
		return
	}
	if lingers {
		x.release()
		x.linger()
	}
}

// linger takes for a while what the client is still sending: to close the connection on it would be to reset it, and to lose the answer. Who
// waits to be asked for its body by "100 Continue" sends none.
func (x *exchange) linger() {
	if x.r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(x.w).Flush()
	x.allowReading(lingering)
	_, _ = io.Copy(io.Discard, x.r.Body)
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
	if err := x.grow(size); err != nil {
		x.door.config.Log.Warn("aws answer refused: memory for requests is used up", x.logAttributes("bytes", size, "limit", x.door.config.MaxInFlightBytes)...)
		x.fail(noMemory())
		return false
	}
	return true
}

// release gives the request's share of the budget back.
func (x *exchange) release() { x.share.release() }
