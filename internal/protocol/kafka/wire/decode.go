package wire

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Memory for the arrays of decoded requests comes from a budget of its own, so that requests that hold their frames cannot wait for one another.
const (
	maxDecoded      = 64 << 20  // of one request
	maxDecodedTotal = 128 << 20 // of all
	freeDecoded     = 16 << 10  // what is not counted: most requests take less
)

// shapes remembers the shape of each key and version that was asked for.
var shapes sync.Map // of shapeKey to *shape

type shapeKey struct{ key, version int16 }

// Decode reads the request's body into req, of the same key; req's version is set. The strings of req are copies, its byte slices are r.Body's.
// It waits for memory if there are many large requests.
func (r *Request) Decode(ctx context.Context, req kmsg.Request) error {
	req.SetVersion(r.Version)
	memory, err := measure(req, r.Body)
	if err != nil {
		return err
	}
	if memory > maxDecoded {
		return fmt.Errorf("arrays of %d bytes are more than a request may have: %d", memory, maxDecoded)
	}
	if memory > freeDecoded && r.budget != nil {
		if err = r.budget.Take(ctx, memory-r.decoded); err != nil {
			return err
		}
		r.decoded = memory
	}
	return req.ReadFrom(r.Body)
}

// release gives back what Decode took.
func (r *Request) release() {
	if r.decoded > 0 {
		r.budget.Give(r.decoded)
		r.decoded = 0
	}
}

func measure(req kmsg.Request, body []byte) (int64, error) {
	key := shapeKey{req.Key(), req.GetVersion()}
	known, ok := shapes.Load(key)
	if !ok {
		s, err := shapeOf(req)
		if err != nil {
			return 0, err
		}
		known, _ = shapes.LoadOrStore(key, s)
	}
	return known.(*shape).walk(body)
}
