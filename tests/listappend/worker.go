package listappend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	partitions = 4
	patience   = 20 * time.Second // of one call of a client, through a restart and pauses
)

// options are what all clients have in common.
func (r *Round) options(opts ...kgo.Opt) []kgo.Opt {
	return append(opts, kgo.SeedBrokers(r.node.Kafka), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RetryTimeout(patience), kgo.RecordDeliveryTimeout(patience))
}

// work runs transactions as one process after another of the same transactional id, old or new by the form of the protocol that it speaks.
func (r *Round) work(ctx context.Context, id string, old bool, random *rand.Rand) {
	for life := 0; ctx.Err() == nil; life++ {
		opts := r.options(kgo.TransactionalID(r.name+"-"+id), kgo.TransactionTimeout(10*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.DefaultProduceTopic(r.name))
		if old {
			opts = append(opts, kgo.MaxVersions(kversion.V3_9_0()))
		}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			r.fail(err)
			return
		}
		r.live(ctx, client, fmt.Sprintf("%s.%d", id, life), random)
		client.Close() // without ending what is open
	}
}

// live runs one process: some transactions, until one fails, or it is its turn to die.
func (r *Round) live(ctx context.Context, client *kgo.Client, name string, random *rand.Rand) {
	if !r.meet(ctx, client, name) {
		return
	}
	for n := 0; ctx.Err() == nil && random.IntN(15) > 0; n++ {
		t := r.history.Begin(name)
		if err := client.BeginTransaction(); err != nil {
			return
		}
		if random.IntN(4) == 0 {
			r.readAll(ctx, random, t)
		}
		err := r.append(ctx, client, t, random)
		if err == nil && random.IntN(25) == 0 {
			return // dies amid its transaction
		}
		commit := kgo.TransactionEndTry(err == nil && random.IntN(4) > 0)
		ending, cancel := context.WithTimeout(ctx, patience)
		err = errors.Join(client.Flush(ending), client.EndTransaction(ending, commit))
		cancel()
		if err != nil {
			return // what has become of it nobody knows
		}
		if commit == kgo.TryCommit {
			r.history.End(t, Committed)
		} else {
			r.history.End(t, Aborted)
		}
	}
}

// meet has a client learn of the topic in a transaction that is aborted. Until the first records of a client are sent franz-go 1.22 shows their partitions
// to the part of it that writes before it shows them to the part that ends transactions: a first transaction whose records overtake that is
// aborted although it was to be committed, without an error, and the next one has sequences out of order. Records that are sent after the
// first ones were acknowledged wait for both.
func (r *Round) meet(ctx context.Context, client *kgo.Client, name string) (met bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := r.history.Begin(name)
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	for i := range 2 {
		word := fmt.Sprintf("%d.%d", t.ID, i)
		r.history.Append(t, 0, word)
		if err := client.ProduceSync(ctx, &kgo.Record{Partition: 0, Value: []byte(word)}).FirstErr(); err != nil {
			return false
		}
	}
	if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return false
	}
	r.history.End(t, Aborted)
	return true
}

// append sends a few words to a few partitions and waits for them.
func (r *Round) append(ctx context.Context, client *kgo.Client, t *Transaction, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var records []*kgo.Record
	for i := range 1 + random.IntN(6) {
		p := random.Int32N(partitions)
		word := fmt.Sprintf("%d.%d", t.ID, i)
		r.history.Append(t, p, word)
		records = append(records, &kgo.Record{Partition: p, Value: []byte(word)})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// readAll reads every partition to its end, one after the other, in any order.
func (r *Round) readAll(ctx context.Context, random *rand.Rand, within *Transaction) {
	session := r.history.Session()
	for _, p := range random.Perm(partitions) {
		read, err := r.read(ctx, int32(p))
		if err != nil {
			return // the node is down
		}
		read.Session = session
		r.history.Read(read, within)
	}
}

// read reads a partition from its start to where its last stable offset is when it begins.
func (r *Round) read(ctx context.Context, partition int32) (Read, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	read := Read{Partition: partition, Began: time.Now()}
	client, err := kgo.NewClient(r.options(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.name: {partition: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return read, err
	}
	defer client.Close()
	stable, err := kadm.NewClient(client).ListCommittedOffsets(ctx, r.name)
	if err != nil {
		return read, err
	}
	end, ok := stable.Lookup(r.name, partition)
	if !ok || end.Err != nil {
		return read, errors.Join(errors.New("no end"), end.Err)
	}
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return read, err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			next = rec.Offset + 1
			if !rec.Attrs.IsControl() {
				read.Words = append(read.Words, string(rec.Value))
			}
		})
	}
	read.Ended = time.Now()
	return read, nil
}
