package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// EndTxn ends the transaction as the producer says. bumps is for clients that learn their next epoch from the answer (EndTxn v5, KIP-890): each of
// their transactions has its own, so that a request that comes late cannot end the next one. A repeated request is granted without a Save.
//
// Of others only the epoch that they have for many transactions is known: the late repeat of a request can end their next transaction, if it says
// the same (Jepsen's report on Bufstream 0.1.0). That is in the protocol, and why clients with such a broker as this use the newer form.
//
// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED; INVALID_TXN_STATE where there is nothing to end so.
func (t *Txn) EndTxn(now time.Time, p Producer, commit, bumps bool) (Step, error) {
	repeats := bumps && t.repeats(p)
	if !repeats {
		if err := t.is(p); err != nil {
			return Step{}, err
		}
	}
	ended := CompleteAbort
	if commit {
		ended = CompleteCommit
	}
	switch {
	case repeats && t.State == ended, !bumps && t.State == ended:
		return Step{Next: *t}, nil
	case repeats, commit && t.State != Ongoing, !bumps && t.State != Ongoing:
		return Step{}, kerr.InvalidTxnState
	}
	step := Step{Next: *t, Save: true} // an abort where nothing is open, too: it gives the next epoch
	step.End = step.Next.end(now, commit, bumps)
	return step, nil
}

// repeats says whether p is the producer of the transaction that ended last, before it knew its next epoch.
func (t *Txn) repeats(p Producer) bool {
	if t.State != CompleteCommit && t.State != CompleteAbort {
		return false
	}
	return p.ID == t.ProducerID && p.Epoch >= 0 && int(p.Epoch)+1 == int(t.Epoch) ||
		p.ID == t.PreviousID && p.ID != t.ProducerID && p.Epoch == lastEpoch && t.Epoch == 0
}

// Expire aborts the open transaction because its time is over. Its producer is fenced by the next epoch, but remembered: it may abort too, and
// learns that epoch (KAFKA-19367), or take up from there with Init.
func (t *Txn) Expire(now time.Time) Step {
	step := Step{Next: *t, Save: true}
	step.End = step.Next.end(now, false, true)
	return step
}

// end makes the transaction an ended one, with the next epoch if bump is set. Its markers have that epoch, so that the log fences who has the
// present one; the epoch beyond the last is for markers only.
func (t *Txn) end(now time.Time, commit, bump bool) *End {
	e := &End{Commit: commit, Marker: Producer{ID: t.ProducerID, Epoch: t.Epoch}}
	if t.State != Ongoing {
		t.Started = now
	}
	t.State, t.Updated = CompleteAbort, now
	if commit {
		t.State = CompleteCommit
	}
	t.Shards, t.Groups, t.Offsets = nil, nil, nil
	switch {
	case !bump:
	case t.exhausted():
		e.Marker.Epoch = lastEpoch + 1
		t.rotate()
	default:
		t.LastEpoch = t.Epoch
		t.Epoch++
		e.Marker.Epoch = t.Epoch
	}
	return e
}
