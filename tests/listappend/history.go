package listappend

import (
	"sync"
	"time"
)

// Outcome is what a client was told of a transaction.
type Outcome string

// The outcomes. Unknown is all that is left when an answer was lost, or the client gave up: then all of it is there, or nothing.
const (
	Committed Outcome = "committed"
	Aborted   Outcome = "aborted"
	Unknown   Outcome = "unknown"
)

// Transaction is what one transaction appended: words that nobody else appends, by partition, in the order in which they were sent.
type Transaction struct {
	ID      int
	Client  string
	Appends map[int32][]string
	// Began is when its client was about to begin, Ended when it was told the outcome.
	Began, Ended time.Time
	Outcome      Outcome
	// Saw are the reads that were made within it, before its appends.
	Saw []int
}

// Read is what one reader found in a partition from its start to its end, read committed.
type Read struct {
	ID           int
	Session      int // reads of one session follow each other
	Partition    int32
	Words        []string
	Began, Ended time.Time
}

// History is everything that clients saw. It is safe for concurrent use.
type History struct {
	mu           sync.Mutex
	transactions []*Transaction
	reads        []*Read
	sessions     int
}

// Begin notes a transaction that is about to begin.
func (h *History) Begin(client string) *Transaction {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &Transaction{ID: len(h.transactions), Client: client, Appends: map[int32][]string{}, Began: time.Now(), Outcome: Unknown}
	h.transactions = append(h.transactions, t)
	return t
}

// Append notes a word that is about to be sent.
func (h *History) Append(t *Transaction, partition int32, word string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Appends[partition] = append(t.Appends[partition], word)
}

// End notes what a client was told.
func (h *History) End(t *Transaction, o Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Outcome, t.Ended = o, time.Now()
}

// Session returns the number of a new session of reads.
func (h *History) Session() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions++
	return h.sessions
}

// Read notes what a partition had; within is the transaction it was read in, or nil.
func (h *History) Read(r Read, within *Transaction) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.ID = len(h.reads)
	h.reads = append(h.reads, &r)
	if within != nil {
		within.Saw = append(within.Saw, r.ID)
	}
}
