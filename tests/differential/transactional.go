package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// naming says which producer a request names: the one of a transactional id as it is remembered, with something changed.
type naming struct {
	step  string
	id    string
	pid   int64 // added to the producer's
	epoch int16 // added to the producer's
}

func strangers(id string) []naming {
	return []naming{
		{"an unknown id", "never-was", 0, 0},
		{"no id", "", 0, 0},
		{"another producer", id, 1000, 0},
		{"an older epoch", id, 0, -1},
		{"a newer epoch", id, 0, 1},
	}
}

func (n naming) of(s *side, id string) (pid int64, epoch int16) {
	return recall[int64](s, id) + n.pid, recall[int16](s, id+" epoch") + n.epoch
}

func adding(s *side, v int16, n naming, of string, verify bool, topics ...kmsg.AddPartitionsToTxnRequestTopic) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	pid, epoch := n.of(s, of)
	if v < 4 {
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Topics = n.id, pid, epoch, topics
		return req
	}
	t := kmsg.NewAddPartitionsToTxnRequestTransaction()
	t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = n.id, pid, epoch, verify
	for _, x := range topics {
		t.Topics = append(t.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: x.Topic, Partitions: x.Partitions})
	}
	req.Transactions = append(req.Transactions, t)
	return req
}

func ofTopic(name string, partitions ...int32) kmsg.AddPartitionsToTxnRequestTopic {
	return kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: partitions}
}

func addingGroup(s *side, n naming, of, group string) *kmsg.AddOffsetsToTxnRequest {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.Group = n.id, group
	req.ProducerID, req.ProducerEpoch = n.of(s, of)
	return req
}

func staging(s *side, n naming, of, group, topic string, partition int32) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = n.id, group
	req.ProducerID, req.ProducerEpoch = n.of(s, of)
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.Metadata = partition, 3, kmsg.StringPtr("m")
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.TxnOffsetCommitRequestTopicPartition{part}
	req.Topics = append(req.Topics, t)
	return req
}

func ending(s *side, n naming, of string, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.Commit = n.id, commit
	req.ProducerID, req.ProducerEpoch = n.of(s, of)
	return req
}

// inTransaction is a Produce request of one batch within a transaction.
func inTransaction(s *side, v int16, n naming, of, topic string, partition, sequence int32) *kmsg.ProduceRequest {
	pid, epoch := n.of(s, of)
	b := batchOf(1, batch.Producer{ID: pid, Epoch: epoch, Sequence: sequence})
	req := producing(s, v, topic, partition, -1, edited(b, func(b []byte) { b[22] |= 1 << 4 }))
	req.TransactionID = &n.id
	return req
}

// rested waits until no side has anything of the transaction left to do: Kafka answers before.
func (p *pair) rested(id string) error {
	for _, s := range p.sides() {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			req := kmsg.NewPtrDescribeTransactionsRequest()
			req.TransactionalIDs = []string{id}
			r, ok := s.ask(0, req).response.(*kmsg.DescribeTransactionsResponse)
			if ok && len(r.TransactionStates) == 1 && (r.TransactionStates[0].State == "CompleteCommit" || r.TransactionStates[0].State == "CompleteAbort" || r.TransactionStates[0].State == "Empty" || r.TransactionStates[0].State == "Ongoing") {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: the transaction of %s does not end", s.name, id)
			}
		}
	}
	return nil
}

func (p *pair) ended(step string, v int16, n naming, of string, commit bool) error {
	resp := p.ask(fmt.Sprintf("%s, commit %v", step, commit), v, func(s *side) kmsg.Request { return ending(s, n, of, commit) })
	for i, s := range p.sides() {
		r, ok := resp[i].(*kmsg.EndTxnResponse)
		if ok && v >= 5 && r.ErrorCode == 0 {
			s.symbols[fmt.Sprint("producer ", r.ProducerID)] = "producer of " + of
			s.seen[of], s.seen[of+" epoch"] = r.ProducerID, r.ProducerEpoch
		}
	}
	return p.rested(of)
}

// transactions walks producers of both forms of the protocol through all that they ask, in every version.
func transactions(p *pair) error {
	if err := p.create(topic{name: "within", partitions: 3, replicas: 1}); err != nil {
		return err
	}
	if err := p.initProducer("old"); err != nil {
		return err
	}
	if err := p.initProducer("new"); err != nil {
		return err
	}
	p.initFaults()
	p.txnFaults("old")
	for v := int16(0); v <= 4; v++ {
		if err := p.oldForm(v); err != nil {
			return err
		}
	}
	if err := p.newForm(); err != nil {
		return err
	}
	p.reinit()
	p.listed()
	p.markers()
	return nil
}

func (p *pair) initFaults() {
	str := kmsg.StringPtr
	for step, change := range map[string]func(*kmsg.InitProducerIDRequest){
		"empty id":             func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = str("") },
		"id -2, epoch -1":      func(r *kmsg.InitProducerIDRequest) { r.ProducerID = -2 },
		"id -2, epoch -2":      func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = -2, -2 },
		"id -1, epoch -2":      func(r *kmsg.InitProducerIDRequest) { r.ProducerEpoch = -2 },
		"no timeout":           func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 },
		"negative timeout":     func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = -1 },
		"long timeout":         func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 900_001 },
		"a producer, no epoch": func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 5 },
		"an epoch only":        func(r *kmsg.InitProducerIDRequest) { r.ProducerEpoch = 5 },
		"producer unknown":     func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = 777777, 5 },
	} {
		p.each("init, "+step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionalID, req.TransactionTimeoutMillis = str("txn-faulty "+step), 60_000
			change(req)
			return req
		})
		p.each("init without id, "+step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionTimeoutMillis = 60_000
			change(req)
			if step == "empty id" {
				req.TransactionTimeoutMillis = 0
			}
			return req
		})
	}
}

// txnFaults asks what no producer asks.
func (p *pair) txnFaults(id string) {
	for _, n := range strangers(id) {
		for _, verify := range []bool{false, true} {
			for _, partitions := range [][]int32{{0}, {9}} {
				p.each(fmt.Sprintf("add %v, %s, %v", partitions, n.step, verify), func(s *side, v int16) kmsg.Request {
					return adding(s, v, n, id, verify, ofTopic("within", partitions...))
				})
			}
		}
		p.each("add a group, "+n.step, func(s *side, _ int16) kmsg.Request { return addingGroup(s, n, id, "txn-group") })
		p.each("stage, "+n.step, func(s *side, _ int16) kmsg.Request { return staging(s, n, id, "txn-group", "within", 0) })
		p.each("produce, "+n.step, func(s *side, v int16) kmsg.Request { return inTransaction(s, v, n, id, "within", 0, 0) })
		for _, commit := range []bool{true, false} {
			p.each(fmt.Sprintf("end, %s, %v", n.step, commit), func(s *side, _ int16) kmsg.Request { return ending(s, n, id, commit) })
		}
	}
	p.each("add an unknown topic and a known one", func(s *side, v int16) kmsg.Request {
		return adding(s, v, naming{id: id}, id, false, ofTopic("within", 0, 1), ofTopic("never-was", 0))
	})
	p.each("end what has not begun", func(s *side, _ int16) kmsg.Request { return ending(s, naming{id: id}, id, true) })
	p.describeTxn("faulty", id)
}

func (p *pair) describeTxn(step, id string) {
	p.settled(step, func(*side) kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{id}
		return req
	})
}

// oldForm is a transaction of the clients before KIP-890.
func (p *pair) oldForm(v int16) error {
	id := fmt.Sprint("old-v", v)
	if err := p.initProducer(id); err != nil {
		return err
	}
	n := naming{id: id}
	g := "txn-group-" + id
	step := func(name string) string { return "old form, " + name }
	addV, groupV, stageV := p.upTo(v, kmsg.NewPtrAddPartitionsToTxnRequest()), min(v, 4), min(v, 4)
	p.describeTxn(step("empty"), id)
	p.ask(step("added"), min(addV, 3), func(s *side) kmsg.Request { return adding(s, 3, n, id, false, ofTopic("within", 0, 1)) })
	p.ask(step("added again"), min(addV, 3), func(s *side) kmsg.Request { return adding(s, 3, n, id, false, ofTopic("within", 0, 1)) })
	p.ask(step("verified"), 4, func(s *side) kmsg.Request { return adding(s, 4, n, id, true, ofTopic("within", 0, 1, 2)) })
	p.ask(step("produced"), 11, func(s *side) kmsg.Request { return inTransaction(s, 11, n, id, "within", 0, 0) })
	p.ask(step("produced again"), 11, func(s *side) kmsg.Request { return inTransaction(s, 11, n, id, "within", 0, 0) })
	p.ask(step("produced where it was not added"), 11, func(s *side) kmsg.Request { return inTransaction(s, 11, n, id, "within", 2, 0) })
	p.ask(step("produced without an id"), 11, func(s *side) kmsg.Request {
		req := inTransaction(s, 11, n, id, "within", 1, 0)
		req.TransactionID = nil
		return req
	})
	p.ask(step("produced plainly"), 4, func(s *side) kmsg.Request {
		return producing(s, 4, "within", 0, -1, sequenced(s, id, recall[int16](s, id+" epoch"), 1, 1))
	})
	p.ask(step("staged, not added"), stageV, func(s *side) kmsg.Request { return staging(s, n, id, g, "within", 0) })
	p.ask(step("group added"), groupV, func(s *side) kmsg.Request { return addingGroup(s, n, id, g) })
	p.ask(step("staged"), stageV, func(s *side) kmsg.Request { return staging(s, n, id, g, "within", 0) })
	p.ask(step("staged, no such partition"), stageV, func(s *side) kmsg.Request { return staging(s, n, id, g, "within", 9) })
	p.ask(step("staged, long note"), stageV, func(s *side) kmsg.Request {
		req := staging(s, n, id, g, "within", 0)
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 5000)))
		return req
	})
	for _, x := range []struct {
		member     string
		generation int32
	}{{"nobody", 1}, {"", 5}, {"nobody", -1}} {
		p.ask(step(fmt.Sprint("staged by ", x)), 4, func(s *side) kmsg.Request {
			req := staging(s, n, id, g, "within", 0)
			req.MemberID, req.Generation = x.member, x.generation
			return req
		})
	}
	p.staged(step("offsets while open"), g)
	p.describeTxn(step("described"), id)
	p.settled(step("producers"), func(*side) kmsg.Request { return producersIn("within", 0, 1, 2) })
	if err := p.ended(step("ended"), v, n, id, v%2 == 0); err != nil {
		return err
	}
	p.settled(step("offsets after"), func(s *side) kmsg.Request { return asking(s, 10, g, "within") })
	p.staged(step("offsets after, all versions"), g)
	for _, commit := range []bool{true, false} {
		if err := p.ended(step("ended again"), v, n, id, commit); err != nil {
			return err
		}
	}
	p.describeTxn(step("described after"), id)
	p.ask(step("produced after"), 11, func(s *side) kmsg.Request { return inTransaction(s, 11, n, id, "within", 0, 1) })
	p.ask(step("verified after"), 4, func(s *side) kmsg.Request { return adding(s, 4, n, id, true, ofTopic("within", 0)) })
	p.settled(step("producers after"), func(*side) kmsg.Request { return producersIn("within", 0, 1, 2) })
	return nil
}

// staged fetches offsets of a group in the versions that differ.
func (p *pair) staged(step, group string) {
	for _, v := range []int16{1, 7, 8, 9, 10} {
		p.ask(step, v, func(s *side) kmsg.Request { return asking(s, v, group, "within") })
	}
	p.ask(step+", unstable", 9, func(s *side) kmsg.Request {
		req := asking(s, 9, group, "within")
		req.RequireStable = false
		return req
	})
}

// newForm is three transactions since KIP-890, each with an epoch of its own.
func (p *pair) newForm() error {
	n := naming{id: "new"}
	before := naming{id: "new", epoch: -1}
	step := func(name string) string { return "new form, " + name }
	p.ask(step("end of nothing by commit"), 5, func(s *side) kmsg.Request { return ending(s, n, "new", true) })
	for round, commit := range []bool{true, false, true} {
		p.ask(step("produced"), 12, func(s *side) kmsg.Request { return inTransaction(s, 12, n, "new", "within", 0, 0) })
		p.ask(step("produced"), 13, func(s *side) kmsg.Request { return inTransaction(s, 13, n, "new", "within", 1, 0) })
		p.ask(step("produced again"), 13, func(s *side) kmsg.Request { return inTransaction(s, 13, n, "new", "within", 1, 0) })
		p.ask(step("older epoch"), 13, func(s *side) kmsg.Request { return inTransaction(s, 13, before, "new", "within", 1, 0) })
		p.ask(step("staged"), 5, func(s *side) kmsg.Request { return staging(s, n, "new", "txn-group-new", "within", 0) })
		p.ask(step("staged by nobody"), 5, func(s *side) kmsg.Request {
			req := staging(s, n, "new", "txn-group-new", "within", 0)
			req.MemberID, req.Generation = "nobody", 3
			return req
		})
		p.ask(step("offsets open"), 10, func(s *side) kmsg.Request { return asking(s, 10, "txn-group-new", "within") })
		p.describeTxn(step("described"), "new")
		p.settled(step("producers"), func(*side) kmsg.Request { return producersIn("within", 0, 1, 2) })
		if err := p.ended(step("ended"), 5, n, "new", commit); err != nil {
			return err
		}
		p.describeTxn(step("described after"), "new")
		for _, again := range []bool{true, false} {
			p.ask(step(fmt.Sprint("repeated ", again)), 5, func(s *side) kmsg.Request { return ending(s, before, "new", again) })
			p.ask(step(fmt.Sprint("repeated by an old client ", again)), 4, func(s *side) kmsg.Request { return ending(s, before, "new", again) })
		}
		p.ask(step("repeated, two epochs ago"), 5, func(s *side) kmsg.Request { return ending(s, naming{id: "new", epoch: -2}, "new", commit) })
		p.ask(step("late produce"), 13, func(s *side) kmsg.Request { return inTransaction(s, 13, before, "new", "within", 1, 1) })
		p.ask(step("late stage"), 5, func(s *side) kmsg.Request { return staging(s, before, "new", "txn-group-new", "within", 1) })
		p.settled(step("offsets after"), func(s *side) kmsg.Request { return asking(s, 10, "txn-group-new", "within") })
		p.settled(step("producers after"), func(*side) kmsg.Request { return producersIn("within", 0, 1, 2) })
		if round == 1 {
			if err := p.ended(step("aborted though empty"), 5, n, "new", false); err != nil {
				return err
			}
			p.ask(step("committed though empty"), 5, func(s *side) kmsg.Request { return ending(s, n, "new", true) })
		}
	}
	p.ask(step("not from zero"), 13, func(s *side) kmsg.Request { return inTransaction(s, 13, n, "new", "within", 2, 4) })
	return p.ended(step("ended though nothing is in it"), 5, n, "new", false)
}

// reinit begins producers anew.
func (p *pair) reinit() {
	for _, v := range p.versions(kmsg.NewPtrInitProducerIDRequest()) {
		for _, by := range []int16{0, -1, -2, 1} {
			if v < 3 && by != 0 {
				continue
			}
			p.ask(fmt.Sprint("init again, by epoch ", by), v, func(s *side) kmsg.Request {
				req := kmsg.NewPtrInitProducerIDRequest()
				req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr("new"), 60_000
				req.ProducerID, req.ProducerEpoch = recall[int64](s, "new"), recall[int16](s, "new epoch")+by
				return req
			})
			p.describeTxn("after init again", "new")
		}
	}
}

func (p *pair) listed() {
	for _, states := range [][]string{nil, {"Ongoing"}, {"Empty", "CompleteCommit"}, {"nonsense"}, {"ongoing"}, {""}} {
		p.each(fmt.Sprintf("list %q", states), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.StateFilters = states
			return req
		})
	}
	for _, d := range []int64{-1, -5, 0, 1, 600_000} {
		p.each(fmt.Sprint("list by duration ", d), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.DurationFilterMillis = d
			return req
		})
	}
	for _, pattern := range []string{"", "old.*", "ld", "old-v[0-2]", "(", "OLD.*", "(?i)OLD.*"} {
		p.each(fmt.Sprintf("list by pattern %q", pattern), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.TransactionalIDPattern = &pattern
			return req
		})
	}
	p.each("list by producers", func(s *side, _ int16) kmsg.Request {
		req := kmsg.NewPtrListTransactionsRequest()
		req.ProducerIDFilters = []int64{recall[int64](s, "old"), 99999, -1}
		return req
	})
}

func (p *pair) markers() {
	for _, row := range []struct {
		step  string
		n     naming
		topic string
		part  int32
		coord int32
	}{
		{"own", naming{id: "old-v1"}, "within", 0, 0},
		{"unknown partition", naming{id: "old-v1"}, "within", 9, 0},
		{"unknown topic", naming{id: "old-v1"}, "never-was", 0, 0},
		{"newer coordinator", naming{id: "old-v1"}, "within", 0, 5},
		{"older coordinator", naming{id: "old-v1"}, "within", 0, 4},
	} {
		for _, commit := range []bool{false, true} {
			p.each(fmt.Sprintf("marker, %s, %v", row.step, commit), func(s *side, v int16) kmsg.Request {
				req := kmsg.NewPtrWriteTxnMarkersRequest()
				m := kmsg.NewWriteTxnMarkersRequestMarker()
				m.ProducerID, m.ProducerEpoch = row.n.of(s, row.n.id)
				m.Committed, m.CoordinatorEpoch = commit, row.coord
				m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: row.topic, Partitions: []int32{row.part}}}
				req.Markers = append(req.Markers, m)
				return req
			})
		}
	}
	p.each("no markers", func(*side, int16) kmsg.Request { return kmsg.NewPtrWriteTxnMarkersRequest() })
	p.settled("producers after markers", func(*side) kmsg.Request { return producersIn("within", 0, 1) })
}
