package listappend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// feed writes numbers to the input of the exactly-once loop, each once.
func (r *Round) feed(ctx context.Context) {
	client, err := kgo.NewClient(r.options(kgo.DefaultProduceTopic(r.name + "-in"))...)
	if err != nil {
		r.fail(err)
		return
	}
	defer client.Close()
	for n := 0; ctx.Err() == nil; n++ {
		sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := client.ProduceSync(sending, kgo.StringRecord(fmt.Sprint(n))).FirstErr()
		cancel()
		if err != nil {
			r.fail(fmt.Errorf("feed %d: %w", n, err))
			return
		}
		r.mu.Lock()
		r.fed = n + 1
		r.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// transform copies the input to the output in transactions that also commit the group's offsets, as one process after another.
func (r *Round) transform(ctx context.Context, id string, random *rand.Rand) {
	for ctx.Err() == nil {
		session, err := kgo.NewGroupTransactSession(r.options(kgo.TransactionalID(r.name+"-"+id), kgo.TransactionTimeout(10*time.Second),
			kgo.ConsumerGroup(r.name), kgo.ConsumeTopics(r.name+"-in"), kgo.DefaultProduceTopic(r.name+"-out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second))...)
		if err != nil {
			r.fail(err)
			return
		}
		r.copy(ctx, session, random)
		session.Close()
	}
}

func (r *Round) copy(ctx context.Context, session *kgo.GroupTransactSession, random *rand.Rand) {
	for ctx.Err() == nil && random.IntN(30) > 0 {
		polling, cancel := context.WithTimeout(ctx, time.Second)
		fetches := session.PollRecords(polling, 20)
		cancel()
		if fetches.IsClientClosed() || ctx.Err() != nil {
			return
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return
		}
		fetches.EachRecord(func(rec *kgo.Record) { session.Produce(ctx, kgo.StringRecord(string(rec.Value)), nil) })
		if random.IntN(25) == 0 {
			return // dies amid its transaction
		}
		ending, cancel := context.WithTimeout(ctx, patience)
		_, err := session.End(ending, kgo.TransactionEndTry(random.IntN(5) > 0))
		cancel()
		if err != nil {
			return
		}
	}
}
