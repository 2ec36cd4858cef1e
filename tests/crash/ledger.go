// Package crash kills the real binary again and again while stock clients write, read and commit, and checks after each restart that what was
// acknowledged is there: every record once, at its offset, the records of a key in order, and no commit gone back.
//
// Ledger is what the clients were told; Reading is what a fresh client finds; Ledger.Verify compares them. Round is the clients at work.
package crash

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"sync"
)

// Place is where a record is: a partition and its offset, or a shard and its sequence number.
type Place struct {
	Shard  string
	Number string // decimal
}

// Entry is one record at its place.
type Entry struct {
	Place Place
	Value string // "writer/key/number", unique in its stream
}

// value makes a record's value; a writer's numbers grow.
func value(writer string, key, number int) string {
	return writer + "/" + strconv.Itoa(key) + "/" + strconv.Itoa(number)
}

// Ledger holds what was acknowledged of one stream. Safe for concurrent use.
type Ledger struct {
	mu    sync.Mutex
	acked map[Place]string
	wrong []error // promises broken before any crash, such as one place given to two records
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{acked: map[Place]string{}} }

// Acknowledge notes that the server called a record durable at a place.
func (l *Ledger) Acknowledge(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, taken := l.acked[e.Place]; taken {
		l.wrong = append(l.wrong, fmt.Errorf("%s was given to %s and to %s", e.Place, old, e.Value))
	}
	l.acked[e.Place] = e.Value
}

// Fail notes what a client must not see.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, err)
}

// Snapshot returns what is acknowledged by now, a copy.
func (l *Ledger) Snapshot() map[Place]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

// Err returns the promises broken so far.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.wrong...)
}

func (p Place) String() string { return p.Shard + "@" + p.Number }

// maxComplaints bounds what Verify says of one reading: the first few tell what is wrong.
const maxComplaints = 10

// Verify checks a whole reading of a stream, shard by shard in the order read, against what had been acknowledged before it began.
func Verify(acked map[Place]string, reading []Entry) error {
	var wrong []error
	complain := func(format string, args ...any) {
		if len(wrong) < maxComplaints {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	at := make(map[Place]string, len(reading))
	seen := make(map[string]Place, len(reading))
	lastPlace := map[string]*big.Int{} // by shard
	lastNumber := map[string]int{}     // by writer and key
	for _, e := range reading {
		at[e.Place] = e.Value
		if before, twice := seen[e.Value]; twice {
			complain("%s is there twice, at %s and %s", e.Value, before, e.Place)
		}
		seen[e.Value] = e.Place
		number, ok := new(big.Int).SetString(e.Place.Number, 10)
		if last := lastPlace[e.Place.Shard]; !ok || last != nil && last.Cmp(number) >= 0 {
			complain("%s comes after %s", e.Place, last)
		}
		lastPlace[e.Place.Shard] = number
		cut := strings.LastIndexByte(e.Value, '/')
		n, err := strconv.Atoi(e.Value[cut+1:])
		if err != nil {
			complain("%s holds %q, which nobody wrote", e.Place, e.Value)
			continue
		}
		if last, ok := lastNumber[e.Value[:cut]]; ok && last >= n {
			complain("%s of %s comes after %d", e.Value, e.Place, last)
		}
		lastNumber[e.Value[:cut]] = n
	}
	for place, want := range acked {
		if got, ok := at[place]; !ok {
			complain("%s was acknowledged at %s and is not there", want, place)
		} else if got != want {
			complain("%s was acknowledged at %s, where %s is", want, place, got)
		}
	}
	return errors.Join(wrong...)
}

// VerifyCommits checks that no committed offset lies before one that was acknowledged.
func VerifyCommits(acked, found map[int32]int64) error {
	var wrong []error
	for partition, want := range acked {
		if got, ok := found[partition]; !ok || got < want {
			wrong = append(wrong, fmt.Errorf("the commit of partition %d went back from %d to %d (found: %t)", partition, want, got, ok))
		}
	}
	return errors.Join(wrong...)
}
