package kinesis

import (
	"cmp"
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// subscriptionLife is how long a subscription lasts; the client then subscribes anew.
	subscriptionLife = 5 * time.Minute
	// heartbeat is how long a subscription stays silent: then an event without records says that it is alive, and how far it is.
	heartbeat = 5 * time.Second
	// maxEventRecords bounds the records of one event, and maxEventBytes and minEventBytes their bytes: all events that wait for slow clients
	// share eventBudget, so an event is the smaller, the more subscriptions are open.
	maxEventRecords = 10_000
	maxEventBytes   = 1 << 20
	minEventBytes   = 16 << 10
	eventBudget     = 32 << 20
)

// eventSender sends an event and returns when the client can have it; an error says that the client has gone.
type eventSender interface {
	Send(event *api.SubscribeToShardEventStream) error
}

// subscriber reads one shard for one subscription.
type subscriber struct {
	service *Service
	call    *aws.Call
	view    view
	shard   *shard
	next    stream.Offset
	number  sequence // ContinuationSequenceNumber
	*subscription
}

// subscribeToShard pushes records as they become readable: it waits for the log to say that the shard has moved, and asks nothing in between.
func (s *Service) subscribeToShard(ctx context.Context, call *aws.Call, in *api.SubscribeToShardInput) (aws.Run[api.SubscribeToShardEventStream], error) {
	r, err := s.newSubscriber(ctx, call, in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, events *aws.EventWriter[api.SubscribeToShardEventStream]) error {
		return r.run(ctx, events)
	}, nil
}

// newSubscriber checks a request and registers its subscription, which lasts until run returns, or ctx ends if it is never called.
func (s *Service) newSubscriber(ctx context.Context, call *aws.Call, in *api.SubscribeToShardInput) (*subscriber, error) {
	v, c, err := s.findConsumer(ctx, call, in.ConsumerARN, nil, nil)
	if err != nil {
		return nil, err
	}
	index, ok := parseShardID(*in.ShardId)
	if !ok {
		return nil, shardUnparsable(call, *in.ShardId, v.Name)
	}
	if index >= v.Shards {
		return nil, shardNotFound(call, shardID(index), v.Name)
	}
	sh := &v.shards.all[index]
	next, err := s.locate(ctx, call, v, sh, position{
		kind: *in.StartingPosition.Type, number: in.StartingPosition.SequenceNumber, time: in.StartingPosition.Timestamp, operation: "SubscribeToShard",
	})
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	key := subscriptionKey{shard: v.Shard(index), consumer: c.name}
	if value(in.DryRun, false) {
		return nil, cmp.Or(s.subscriptions.check(key, s.clock.Now(), s.config.MaxSubscriptions), dryRun())
	}
	sub, err := s.subscriptions.add(key, s.clock.Now(), s.config.MaxSubscriptions)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { s.subscriptions.remove(sub, s.clock.Now()) })
	return &subscriber{service: s, call: call, view: v, shard: sh, next: next, number: sh.at(next, sh.created.Unix()), subscription: sub}, nil
}

// run sends events until the subscription is over. The first follows at once, also without records: it tells the client that it is connected.
func (r *subscriber) run(ctx context.Context, events eventSender) error {
	s := r.service
	defer func() { s.subscriptions.remove(r.subscription, s.clock.Now()) }()
	moved := s.log.Watch()
	defer moved.Close()
	moved.Add(r.view.Shard(r.shard.index))
	life, beat := s.clock.NewTimer(subscriptionLife), s.clock.NewTimer(heartbeat)
	defer life.Stop()
	defer beat.Stop()
	var taken []stream.Shard
	for due := true; ; {
		over, more, err := r.advance(ctx, events, due)
		if over || err != nil {
			return err
		}
		if more {
			if due = false; r.isOver(ctx, life.C()) {
				return r.reason
			}
			beat.Reset(heartbeat)
			continue
		}
		if due {
			beat.Reset(heartbeat)
		}
		select {
		case <-moved.Ready():
			taken, due = moved.Take(taken[:0]), false
		case <-beat.C():
			due = true
		case <-life.C():
			return nil
		case <-r.ended:
			return r.reason
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isOver looks whether the subscription should end, without waiting; if so reason says how.
func (r *subscriber) isOver(ctx context.Context, life <-chan time.Time) bool {
	select {
	case <-r.ended:
		return true
	case <-life:
	case <-ctx.Done():
	default:
		return false
	}
	r.service.subscriptions.end(r.subscription, nil)
	return true
}

// advance reads on and sends what it found, or an event without records if one is due. over: the shard has come to its end and the client was
// told of its children. more: there may be more to read at once.
func (r *subscriber) advance(ctx context.Context, events eventSender, due bool) (over, more bool, err error) {
	s := r.service
	size := min(max(eventBudget/max(s.subscriptions.size(), 1), minEventBytes), maxEventBytes)
	p := s.newPage(r.shard, r.next, maxEventRecords, size)
	defer s.releasePage(p)
	behind, err := s.fill(ctx, r.view, p)
	if err != nil {
		return false, false, failure(r.call, r.view.Name, err)
	}
	if n := len(p.records); n > 0 {
		r.number = r.shard.at(p.next, p.records[n-1].arrived/1000)
	} else if p.next != r.next {
		r.number = r.shard.at(p.next, r.number.arrived)
	}
	r.next = p.next
	// The settings may have changed since: a shard that was open can be closed now.
	v, err := s.refresh(ctx, r.view)
	if err != nil {
		return false, false, failure(r.call, r.view.Name, err)
	}
	event := &api.SubscribeToShardEvent{Records: p.answer(), MillisBehindLatest: &behind}
	if children := s.childrenAt(v, &v.shards.all[r.shard.index], r.next); children != nil {
		event.ChildShards, over = children, true
	} else {
		event.ContinuationSequenceNumber = new(r.number.String())
	}
	if more = len(event.Records) > 0 || behind > 0; !more && !due && !over { // behind without records: the client is told how far it is
		return false, false, nil
	}
	return over, more, events.Send(&api.SubscribeToShardEventStream{SubscribeToShardEvent: event})
}

// refresh returns the stream as it now is.
func (s *Service) refresh(ctx context.Context, v view) (view, error) {
	st, err := s.log.StreamByID(ctx, v.ID)
	if err != nil {
		return view{}, err
	}
	return s.view(ctx, st)
}
