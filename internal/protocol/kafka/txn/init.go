package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Init makes the caller the one producer of the transactional id: whoever was it before is fenced, and the transaction that is open is
// aborted. known is who the caller was until now and wants to go on as, after an error (KIP-360); nil for one that begins.
//
// PRODUCER_FENCED for a known producer that is not the present one any more, and nothing happens then; Apache Kafka aborts the present one's
// transaction all the same.
func (t *Txn) Init(now time.Time, timeout time.Duration, known *Producer) (Step, error) {
	if known != nil && !t.goesOn(*known) {
		return Step{}, kerr.ProducerFenced
	}
	step := Step{Next: *t, Save: true}
	n := &step.Next
	if t.State == Ongoing {
		step.End = n.end(now, false, true)
	}
	if err := n.bump(known); err != nil {
		return Step{}, err
	}
	n.State, n.Timeout, n.Started, n.Updated = Empty, timeout, time.Time{}, now
	return step, nil
}

// goesOn says whether p may be who t's producer is, or just was.
func (t *Txn) goesOn(p Producer) bool {
	return t.Epoch == none || p.ID == t.ProducerID || p.ID == t.PreviousID && p.Epoch >= lastEpoch
}

// bump gives the next epoch, or a new producer id when there is none. A known producer with the epoch before the present one has not heard the
// answer to that: it gets the present one again.
func (t *Txn) bump(known *Producer) error {
	present := known != nil && known.Epoch == t.Epoch && known.ID == t.ProducerID
	switch {
	case t.Epoch == none:
		t.ProducerID, t.Epoch, t.LastEpoch = fresh, 0, none
	case t.exhausted() && (known == nil || present):
		t.rotate()
		if known == nil {
			t.LastEpoch = none
		}
	case known == nil:
		t.Epoch, t.LastEpoch = t.Epoch+1, none
	case present:
		t.Epoch, t.LastEpoch = t.Epoch+1, t.Epoch
	case known.Epoch == t.LastEpoch:
	default:
		return kerr.ProducerFenced
	}
	return nil
}

// rotate begins with a new producer id. Its epoch is a valid one, so that the old one's last epoch is remembered as the one before.
func (t *Txn) rotate() {
	t.PreviousID, t.LastEpoch = t.ProducerID, t.Epoch
	t.ProducerID, t.Epoch = fresh, 0
}
