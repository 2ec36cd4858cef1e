package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/tests/process"
)

// A transaction of a step is one of raw requests: the node is killed around one of them, before it has come, while it is worked on, or when its answer is
// under way. Whatever the moment, what is left is all of the transaction or nothing, and all of it if its end was acknowledged.

const (
	stepPartitions = 3
	stepGroup      = "steps"
	stepTimeout    = 60_000 // of a transaction, milliseconds
)

// stepTopics are written to in every transaction.
var stepTopics = []string{"steps-a", "steps-b"}

// transaction is one transaction of a client at work.
type transaction struct {
	node  *process.Node
	conn  *conn
	id    string
	mark  string // its records' value
	old   bool   // the client asks for partitions and offsets to be added (before KIP-890's second part)
	who   producer
	input int64 // what it commits as the group's offset
}

type producer struct {
	id    int64
	epoch int16
}

// steps are the requests of a transaction in order.
var steps = []struct {
	name string
	run  func(*transaction) (code int16, err error)
	old  bool // only clients of the old form ask it
}{
	{"begin", (*transaction).begin, false},
	{"add partitions", (*transaction).addPartitions, true},
	{"produce", (*transaction).produce, false},
	{"add offsets", (*transaction).addOffsets, true},
	{"commit offsets", (*transaction).commitOffsets, false},
	{"end", (*transaction).end, false},
}

func (t *transaction) begin() (int16, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &t.id, stepTimeout, -1, -1
	resp, err := ask[*kmsg.InitProducerIDResponse](t.conn, 4, req)
	if err != nil {
		return 0, err
	}
	if resp.ErrorCode == 0 {
		t.who = producer{resp.ProducerID, resp.ProducerEpoch}
	}
	return resp.ErrorCode, nil
}

func (t *transaction) addPartitions() (int16, error) {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.id, t.who.id, t.who.epoch
	for _, topic := range stepTopics {
		req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: topic, Partitions: []int32{0, 1, 2}})
	}
	resp, err := ask[*kmsg.AddPartitionsToTxnResponse](t.conn, 3, req)
	if err != nil {
		return 0, err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode, nil
			}
		}
	}
	return 0, nil
}

func (t *transaction) produce() (int16, error) {
	var b batch.Builder
	b.Add(time.Now().UnixMilli(), nil, []byte(t.mark))
	records := b.Finish(batch.Producer{ID: t.who.id, Epoch: t.who.epoch})
	records[22] |= 1 << 4 // transactional; the checksum is made anew
	batch.SetMaxTimestamp(records, time.Now().UnixMilli())
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.TransactionID = -1, 5000, &t.id
	for _, topic := range stepTopics {
		to := kmsg.ProduceRequestTopic{Topic: topic}
		for p := range int32(stepPartitions) {
			to.Partitions = append(to.Partitions, kmsg.ProduceRequestTopicPartition{Partition: p, Records: records})
		}
		req.Topics = append(req.Topics, to)
	}
	resp, err := ask[*kmsg.ProduceResponse](t.conn, t.version(11, 12), req)
	if err != nil {
		return 0, err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode, nil
			}
		}
	}
	return 0, nil
}

func (t *transaction) addOffsets() (int16, error) {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = t.id, t.who.id, t.who.epoch, stepGroup
	resp, err := ask[*kmsg.AddOffsetsToTxnResponse](t.conn, 3, req)
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

func (t *transaction) commitOffsets() (int16, error) {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = t.id, t.who.id, t.who.epoch, stepGroup, -1
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = t.input
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: stepTopics[0], Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	resp, err := ask[*kmsg.TxnOffsetCommitResponse](t.conn, t.version(4, 5), req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}

func (t *transaction) end() (int16, error) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = t.id, t.who.id, t.who.epoch, true
	resp, err := ask[*kmsg.EndTxnResponse](t.conn, t.version(4, 5), req)
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

// version returns the one of a request that a client of this transaction's form uses.
func (t *transaction) version(old, since int16) int16 {
	if t.old {
		return old
	}
	return since
}

// insist runs a step until it is not told to try again.
func (t *transaction) insist(ctx context.Context, run func(*transaction) (int16, error)) (err error) {
	return until(ctx, patience, "an answer that is final", func() (bool, error) {
		var code int16
		code, err = run(t)
		if err == nil {
			err = kerr.ErrorForCode(code)
		}
		return err == nil || !kerr.IsRetriable(err), err
	})
}

func transactionSteps(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	for _, topic := range stepTopics {
		if err := createTopic(ctx, node, topic, stepPartitions); err != nil {
			return err
		}
	}
	j := &stepJudge{node: node}
	for i := range steps {
		before := *j
		for n := range r.times {
			old := n%2 == 0 || steps[i].old
			if err := j.kill(ctx, r, i, old); err != nil {
				return fmt.Errorf("killed at %s, old form %v, number %d: %w", steps[i].name, old, j.number, err)
			}
		}
		say("killed %d times at %q: %d requests were answered, %d transactions are committed, %d are not, the slowest start %s",
			r.times, steps[i].name, j.answered-before.answered, j.committed-before.committed, j.gone-before.gone, j.slowest.Round(time.Millisecond))
	}
	return nil
}

// stepJudge kills in steps and looks at what is left.
type stepJudge struct {
	node                      *process.Node
	number                    int
	offset                    int64 // that the group has committed
	answered, committed, gone int
	slowest                   time.Duration
}

// kill runs a transaction and kills the node a moment after the request of a step was sent.
func (j *stepJudge) kill(ctx context.Context, r *rig, at int, old bool) error {
	j.number++
	c, err := dial(ctx, j.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	t := &transaction{node: j.node, conn: c, id: "steps-" + strconv.Itoa(r.random.IntN(3)), mark: strconv.Itoa(j.number), old: old, input: int64(j.number)}
	acknowledged := false
	for i, s := range steps[:at+1] {
		if s.old && !old {
			continue
		}
		if i < at {
			if err := t.insist(ctx, s.run); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			continue
		}
		killed := make(chan struct{})
		time.AfterFunc(r.killDelay(), func() {
			j.node.Kill()
			close(killed)
		})
		code, err := s.run(t)
		<-killed
		if acknowledged = err == nil && code == 0; acknowledged {
			j.answered++
		} else if err == nil && !kerr.IsRetriable(kerr.ErrorForCode(code)) {
			return fmt.Errorf("%s is refused: %w", s.name, kerr.ErrorForCode(code))
		}
	}
	took, err := j.node.Start(ctx)
	if err != nil {
		return err
	}
	j.slowest = max(j.slowest, took)
	return j.judge(ctx, t, steps[at].name == "end", acknowledged)
}

// judge has another process take the transactional id over, and compares what is left with what was asked and answered.
func (j *stepJudge) judge(ctx context.Context, t *transaction, ended, acknowledged bool) error {
	c, err := dial(ctx, j.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	heir := &transaction{node: j.node, conn: c, id: t.id, old: t.old}
	if err := heir.insist(ctx, (*transaction).begin); err != nil {
		return fmt.Errorf("take the transactional id over: %w", err)
	}
	if t.who.id == heir.who.id && t.who.epoch >= heir.who.epoch && t.who.id > 0 {
		return fmt.Errorf("the heir has epoch %d, the dead one %d", heir.who.epoch, t.who.epoch)
	}
	t.conn = c
	if code, err := t.end(); err != nil || code == 0 {
		return fmt.Errorf("the dead one may still end its transaction: %d, %w", code, err)
	}
	there, offset, err := j.left(ctx, t.mark)
	if err != nil {
		return err
	}
	all := stepPartitions * len(stepTopics)
	switch {
	case there != 0 && there != all:
		return fmt.Errorf("%d of %d records are committed", there, all)
	case there == all && offset != t.input || there == 0 && offset != j.offset:
		return fmt.Errorf("%d records are committed, and offset %d; it was %d before, the transaction's is %d", there, offset, j.offset, t.input)
	case there == all && !ended:
		return errors.New("committed, though nobody asked for it")
	case there == 0 && acknowledged && ended:
		return errors.New("an acknowledged commit is lost")
	}
	if j.offset = offset; there == all {
		j.committed++
	} else {
		j.gone++
	}
	return nil
}

// left counts the committed records of a value, and returns the committed offset. Nothing may be of an open transaction any more.
func (j *stepJudge) left(ctx context.Context, mark string) (there int, offset int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(j.node.Kafka), kgo.ConsumeTopics(stepTopics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, stepTopics...)
	stable, err2 := admin.ListCommittedOffsets(ctx, stepTopics...)
	if err = errors.Join(err, err2); err != nil {
		return 0, 0, err
	}
	left := map[string]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if s, _ := stable.Lookup(o.Topic, o.Partition); s.Offset != o.Offset {
			err = errors.Join(err, fmt.Errorf("%s-%d is stable up to %d, it ends at %d", o.Topic, o.Partition, s.Offset, o.Offset))
		}
		if o.Offset > 0 {
			left[o.Topic+strconv.Itoa(int(o.Partition))] = o.Offset
		}
	})
	for err == nil && len(left) > 0 {
		fetches := client.PollFetches(ctx)
		err = fetches.Err()
		fetches.EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() && string(rec.Value) == mark {
				there++
			}
			if key := rec.Topic + strconv.Itoa(int(rec.Partition)); rec.Offset+1 >= left[key] {
				delete(left, key)
			}
		})
	}
	if err != nil {
		return there, 0, err
	}
	offsets, err := admin.FetchOffsets(ctx, stepGroup)
	if o, ok := offsets.Lookup(stepTopics[0], 0); ok {
		offset = o.At
	}
	return there, offset, err
}
