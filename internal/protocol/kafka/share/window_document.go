package share

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// A window's document, all numbers uvarints:
//
//	format 1 | epoch | start | per run: length, deliveries<<3 | state
//
// What somebody has acquired is written as available and not delivered to it: whether it was is not known after a crash. Runs at the end
// that say nothing else than that the records are available are left out, so that acquiring changes no document.
const windowFormat = 1

// maxOffset bounds what a document can say: beyond it sums would overflow.
const maxOffset = 1 << 62

// Encode returns what must be kept of the window.
func (w *Window) Encode() []byte {
	b := binary.AppendUvarint(nil, windowFormat)
	b = binary.AppendUvarint(b, uint64(w.epoch))
	b = binary.AppendUvarint(b, uint64(w.start))
	var pending run // not written yet: runs that look the same in the document are written as one
	for i := range w.runs {
		r := w.runs[i]
		if r.state == Acquired {
			r.state, r.deliveries = Available, r.deliveries-1
		}
		r.member, r.until = "", time.Time{}
		if i > 0 && pending.alike(&r) {
			pending.last = r.last
			continue
		}
		if i > 0 {
			b = pending.append(b)
		}
		pending = r
	}
	if len(w.runs) > 0 && (pending.state != Available || pending.deliveries > 0) {
		b = pending.append(b)
	}
	return b
}

func (r *run) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.len()))
	return binary.AppendUvarint(b, uint64(r.deliveries)<<3|uint64(r.state))
}

// DecodeWindow returns the window that Encode has written, and refuses what no window can be.
func DecodeWindow(b []byte, limits Limits) (*Window, error) {
	d := decoder{b: b}
	if format := d.next(windowFormat); format != windowFormat {
		return nil, fmt.Errorf("decode share window: format %d, not %d", format, windowFormat)
	}
	w := &Window{limits: limits, epoch: int32(d.next(1<<31 - 1)), start: stream.Offset(d.next(maxOffset))}
	w.end = w.start
	for len(d.b) > 0 && !d.wrong {
		n, what := stream.Offset(d.next(maxOffset)), d.next(1<<15<<3-1)
		r := run{first: w.end, last: w.end + n - 1, state: State(what & 7), deliveries: int16(what >> 3)}
		if n == 0 || n > maxOffset-w.end || r.state != Available && !r.state.done() || r.state.done() && r.deliveries > 0 {
			d.wrong = true
			break
		}
		w.runs = append(w.runs, r)
		w.end += n
	}
	if d.wrong {
		return nil, fmt.Errorf("decode share window: %d bytes before the end are not a window's", len(d.b))
	}
	w.settle()
	return w, nil
}

type decoder struct {
	b     []byte
	wrong bool
}

// next reads a number of at most most.
func (d *decoder) next(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.wrong = true
		return 0
	}
	d.b = d.b[n:]
	return v
}
