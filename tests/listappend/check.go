package listappend

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Counts is what a history was made of.
type Counts struct {
	Committed, Aborted     int // transactions, as clients were told
	UnknownThere           int // of unknown outcome, and all of it is there
	UnknownGone            int // of unknown outcome, and none of it is
	Words, Reads, Observed int // words in the end, reads, and words in them
	WriteCycles            int // pairs of transactions that are there in opposite orders in two partitions: Kafka allows it (G0)
}

func (c *Counts) add(more Counts) {
	c.Committed += more.Committed
	c.Aborted += more.Aborted
	c.UnknownThere += more.UnknownThere
	c.UnknownGone += more.UnknownGone
	c.Words += more.Words
	c.Reads += more.Reads
	c.Observed += more.Observed
	c.WriteCycles += more.WriteCycles
}

// Check compares a history with what is there in the end, by partition, and returns everything that must not be:
//
//   - a committed word that is lost, an aborted one that is there, a transaction of which a part is there, a word that is there twice;
//   - the words of a transaction, or those of one client's transactions, in another order than they were sent;
//   - a read that is not a beginning of what is there in the end: something was read and taken back, or changed places;
//   - a read that misses what was committed before it began, or of a session what an earlier read of the same partition had;
//   - a read of a later partition that misses a part of a transaction of which an earlier read of its session saw another part.
//     Both are excused by another transaction that may have been open in the partition since before: readers wait for it;
//   - transactions that each saw, or knew to be over before they began, what another one did, in a circle.
func Check(transactions []*Transaction, reads []*Read, final map[int32][]string) (Counts, []string) {
	c := checker{transactions: transactions, reads: reads, final: final, at: map[string]place{}, writer: map[string]*Transaction{}}
	for _, t := range transactions {
		for _, words := range t.Appends {
			for _, w := range words {
				c.writer[w] = t
			}
		}
	}
	c.index()
	c.outcomes()
	c.orders()
	c.prefixes()
	c.sessions()
	c.circles()
	c.writeCycles()
	return c.counts, c.wrong
}

// place is where a word is in the end.
type place struct {
	partition int32
	position  int
}

type checker struct {
	transactions []*Transaction
	reads        []*Read
	final        map[int32][]string
	at           map[string]place
	writer       map[string]*Transaction

	counts Counts
	wrong  []string
}

func (c *checker) fault(format string, args ...any) {
	const most = 50
	if len(c.wrong) < most {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

func (c *checker) index() {
	for partition, words := range c.final {
		for i, w := range words {
			if was, twice := c.at[w]; twice {
				c.fault("%s is there twice: in partition %d at %d, and in %d at %d", w, was.partition, was.position, partition, i)
			}
			if c.writer[w] == nil {
				c.fault("%s in partition %d was never sent", w, partition)
			}
			c.at[w] = place{partition, i}
			c.counts.Words++
		}
	}
}

// there says how many of a transaction's words are there, and how many it sent.
func (c *checker) there(t *Transaction) (there, sent int) {
	for partition, words := range t.Appends {
		for _, w := range words {
			sent++
			if p, ok := c.at[w]; ok && p.partition == partition {
				there++
			}
		}
	}
	return there, sent
}

func (c *checker) outcomes() {
	for _, t := range c.transactions {
		there, sent := c.there(t)
		switch t.Outcome {
		case Committed:
			c.counts.Committed++
			if there != sent {
				c.fault("transaction %d of %s was committed, and %d of its %d words are there", t.ID, t.Client, there, sent)
			}
		case Aborted:
			c.counts.Aborted++
			if there != 0 {
				c.fault("transaction %d of %s was aborted, and %d of its %d words are there", t.ID, t.Client, there, sent)
			}
		default:
			if there == sent && sent > 0 {
				c.counts.UnknownThere++
			} else {
				c.counts.UnknownGone++
			}
			if there != 0 && there != sent {
				c.fault("transaction %d of %s is torn: %d of its %d words are there", t.ID, t.Client, there, sent)
			}
		}
	}
}

// orders looks at the words of each client in each partition: they are there in the order in which they were sent.
func (c *checker) orders() {
	type lane struct {
		client    string
		partition int32
	}
	last := map[lane]place{}
	for _, t := range c.transactions { // a client's are in order
		for partition, words := range t.Appends {
			for _, w := range words {
				p, ok := c.at[w]
				if !ok {
					continue
				}
				l := lane{t.Client, partition}
				if before, any := last[l]; any && p.position < before.position {
					c.fault("%s of %s is at %d in partition %d, behind what was sent after it", w, t.Client, p.position, partition)
				}
				last[l] = p
			}
		}
	}
}

func (c *checker) prefixes() {
	for _, r := range c.reads {
		c.counts.Reads++
		c.counts.Observed += len(r.Words)
		whole := c.final[r.Partition]
		for i, w := range r.Words {
			if i >= len(whole) || whole[i] != w {
				c.fault("read %d of partition %d has %s at %d, which is not there in the end", r.ID, r.Partition, w, i)
				break
			}
		}
	}
	for _, t := range c.transactions {
		if t.Outcome != Committed {
			continue
		}
		for _, r := range c.reads {
			if !t.Ended.Before(r.Began) {
				continue
			}
			for _, w := range t.Appends[r.Partition] {
				if p, ok := c.at[w]; ok && p.position >= len(r.Words) && !c.heldUp(r, t) {
					c.fault("read %d of partition %d misses %s, which transaction %d committed before", r.ID, r.Partition, w, t.ID)
				}
			}
		}
	}
}

// longestOpen is after what time a transaction of unknown outcome is over: its timeout, and that of clients that still try to end it.
const longestOpen = time.Minute

// heldUp says whether a transaction may have been open in the read's partition that had begun there before t's words.
func (c *checker) heldUp(r *Read, t *Transaction) bool {
	for _, x := range c.transactions {
		if x == t || len(x.Appends[r.Partition]) == 0 || !t.Ended.IsZero() && x.Began.After(t.Ended) {
			continue
		}
		over := x.Ended
		if over.IsZero() {
			over = x.Began.Add(longestOpen)
		}
		if !over.Before(r.Began) {
			return true
		}
	}
	return false
}

// sessions looks at reads that followed each other: they see no less of a partition, and no transaction by halves.
func (c *checker) sessions() {
	bySession := map[int][]*Read{}
	for _, r := range c.reads {
		bySession[r.Session] = append(bySession[r.Session], r)
	}
	for _, reads := range bySession {
		length := map[int32]int{}
		seen := map[*Transaction]bool{}
		for _, r := range reads {
			if len(r.Words) < length[r.Partition] {
				c.fault("read %d of partition %d has %d words, an earlier one had %d", r.ID, r.Partition, len(r.Words), length[r.Partition])
			}
			length[r.Partition] = len(r.Words)
			for t := range seen {
				for _, w := range t.Appends[r.Partition] {
					if p, ok := c.at[w]; ok && p.position >= len(r.Words) && !c.heldUp(r, t) {
						c.fault("read %d of partition %d misses %s of transaction %d, of which the session has seen another part", r.ID, r.Partition, w, t.ID)
					}
				}
			}
			for _, w := range r.Words {
				if t := c.writer[w]; t != nil {
					seen[t] = true
				}
			}
		}
	}
}

// circles looks for a circle among the transactions that are there: one that saw another's word comes after it, and so does one that began when the
// other was known to be over.
func (c *checker) circles() {
	there := c.transactions[:0:0]
	for _, t := range c.transactions {
		if n, _ := c.there(t); n > 0 {
			there = append(there, t)
		}
	}
	before := make(map[*Transaction]map[*Transaction]bool, len(there))
	for _, t := range there {
		before[t] = map[*Transaction]bool{}
	}
	for _, t := range there {
		for _, id := range t.Saw {
			for _, w := range c.reads[id].Words {
				x := c.writer[w]
				switch {
				case x == t:
					c.fault("transaction %d saw its own %s before it was committed", t.ID, w)
				case before[x] != nil:
					before[t][x] = true
				}
			}
		}
	}
	for _, t := range there {
		for x := range before[t] {
			if t.Outcome == Committed && t.Ended.Before(x.Began) {
				c.fault("transaction %d saw words of transaction %d, which began after it had ended", t.ID, x.ID)
			}
			if before[x][t] {
				c.fault("transactions %d and %d each saw words of the other", t.ID, x.ID)
			}
		}
	}
	c.longCircles(there, before)
}

// longCircles finds circles of any length by taking away, again and again, what nothing is left before.
func (c *checker) longCircles(all []*Transaction, before map[*Transaction]map[*Transaction]bool) {
	left := map[*Transaction]int{}
	after := map[*Transaction][]*Transaction{}
	for _, t := range all {
		left[t] += 0
		for x := range before[t] {
			left[t]++
			after[x] = append(after[x], t)
		}
	}
	var free []*Transaction
	for t, n := range left {
		if n == 0 {
			free = append(free, t)
		}
	}
	for len(free) > 0 {
		t := free[len(free)-1]
		free = free[:len(free)-1]
		delete(left, t)
		for _, x := range after[t] {
			if left[x]--; left[x] == 0 {
				free = append(free, x)
			}
		}
	}
	if len(left) == 0 {
		return
	}
	ids := make([]int, 0, len(left))
	for t := range left {
		ids = append(ids, t.ID)
	}
	sort.Ints(ids)
	c.fault("transactions %v saw each other in a circle", ids)
}

// writeCycles counts the pairs of transactions whose order differs from partition to partition.
func (c *checker) writeCycles() {
	first := map[*Transaction]map[int32]int{}
	var all []*Transaction
	for _, t := range c.transactions {
		for partition, words := range t.Appends {
			for _, w := range words {
				if p, ok := c.at[w]; ok {
					if first[t] == nil {
						first[t] = map[int32]int{}
						all = append(all, t)
					}
					if at, any := first[t][partition]; !any || p.position < at {
						first[t][partition] = p.position
					}
				}
			}
		}
	}
	for i, t := range all {
		for _, x := range all[i+1:] {
			var orders []bool
			for partition, at := range first[t] {
				if other, both := first[x][partition]; both {
					orders = append(orders, at < other)
				}
			}
			if slices.Contains(orders, true) && slices.Contains(orders, false) {
				c.counts.WriteCycles++
			}
		}
	}
}
