package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/clock"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// listener is a client of one subscription. It takes an event when the test asks for one, like a connection without room.
type listener struct {
	r      *rig
	events chan *api.SubscribeToShardEvent
	done   chan error
	gone   <-chan struct{}
	cancel context.CancelFunc
}

func (l *listener) Send(event *api.SubscribeToShardEventStream) error {
	select {
	case l.events <- event.SubscribeToShardEvent:
		return nil
	case <-l.gone:
		return errors.New("client has gone")
	}
}

// subscribe opens a subscription as the front door would.
func (r *rig) subscribe(in *api.SubscribeToShardInput) (*listener, error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	sub, err := r.newSubscriber(ctx, r.call, in)
	if err != nil {
		cancel()
		return nil, err
	}
	l := &listener{r: r, events: make(chan *api.SubscribeToShardEvent), done: make(chan error, 1), gone: ctx.Done(), cancel: cancel}
	go func() { l.done <- sub.run(ctx, l) }()
	return l, nil
}

func (r *rig) mustSubscribe(in *api.SubscribeToShardInput) *listener {
	r.t.Helper()
	l, err := r.subscribe(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// next returns the next event, which must already be on its way: no time passes.
func (l *listener) next() *api.SubscribeToShardEvent {
	l.r.t.Helper()
	synctest.Wait()
	select {
	case event := <-l.events:
		synctest.Wait() // for the subscription to wait again, with its timers set
		return event
	case err := <-l.done:
		l.r.t.Fatalf("the subscription ended: %v", err)
	default:
		l.r.t.Fatal("no event")
	}
	return nil
}

// silent fails the test if there is an event.
func (l *listener) silent() {
	l.r.t.Helper()
	synctest.Wait()
	select {
	case event := <-l.events:
		l.r.t.Fatalf("unexpected event %+v", event)
	default:
	}
}

// end returns how the subscription ended, which it must have.
func (l *listener) end() string {
	l.r.t.Helper()
	synctest.Wait()
	select {
	case err := <-l.done:
		return fmt.Sprint(err)
	default:
		l.r.t.Fatal("the subscription goes on")
	}
	return ""
}

// consumer registers a consumer and returns a subscription request for its shard 0.
func (r *rig) consumer(streamName, name string, kind api.ShardIteratorType, number *string) *api.SubscribeToShardInput {
	r.t.Helper()
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/" + streamName
	c := must(r, r.registerConsumer, &api.RegisterStreamConsumerInput{StreamARN: &arn, ConsumerName: &name}).Consumer
	return &api.SubscribeToShardInput{ConsumerARN: c.ConsumerARN, ShardId: new(shardID(0)), StartingPosition: &api.StartingPosition{Type: &kind, SequenceNumber: number}}
}

// subscribed runs a test with one stream and one consumer that is subscribed to its shard 0 from the trim horizon.
func subscribed(t *testing.T, test func(r *rig, in *api.SubscribeToShardInput, l *listener)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", 2)
		in := r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil)
		l := r.mustSubscribe(in)
		test(r, in, l)
		l.cancel()
		synctest.Wait()
	})
}

func (r *rig) putFirst(data string) string {
	r.t.Helper()
	in := &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new("0"), Data: []byte(data)}
	return *must(r, r.putRecord, in).SequenceNumber
}

func TestSubscriptionPushes(t *testing.T) {
	subscribed(t, func(r *rig, _ *api.SubscribeToShardInput, l *listener) {
		event := l.next()
		if event.Records == nil || len(event.Records) != 0 || event.ContinuationSequenceNumber == nil || *event.MillisBehindLatest != 0 {
			t.Errorf("first event is %+v", event)
		}
		l.silent()
		number := r.putFirst("1")
		event = l.next()
		if show(event.Records) != "k=1" || *event.Records[0].SequenceNumber != number || *event.ContinuationSequenceNumber != number {
			t.Errorf("event is %+v", event)
		}
		l.silent()
		r.putFirst("2")
		r.putFirst("3")
		got := show(l.next().Records)
		if got == "k=2" { // in one event, or in two
			got += " " + show(l.next().Records)
		}
		if got != "k=2 k=3" {
			t.Errorf("got %s", got)
		}
	})
}

func TestSubscriptionHeartbeat(t *testing.T) {
	subscribed(t, func(r *rig, _ *api.SubscribeToShardInput, l *listener) {
		l.next()
		number := r.putFirst("1")
		l.next()
		r.clock.Advance(heartbeat - 1)
		l.silent()
		r.clock.Advance(1)
		for range 3 {
			if event := l.next(); len(event.Records) != 0 || *event.ContinuationSequenceNumber != number {
				t.Errorf("heartbeat is %+v", event)
			}
			l.silent()
			r.clock.Advance(heartbeat)
		}
	})
}

func TestSubscriptionEnds(t *testing.T) {
	arn := new("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	for name, test := range map[string]struct {
		act  func(r *rig, in *api.SubscribeToShardInput, l *listener)
		want string
	}{
		"after five minutes": {func(r *rig, _ *api.SubscribeToShardInput, l *listener) {
			for range int(subscriptionLife/heartbeat) - 1 {
				r.clock.Advance(heartbeat)
				l.next()
			}
			r.clock.Advance(heartbeat - 1)
			l.silent()
			go func() { // its last heartbeat and its end fall on one moment
				for {
					select {
					case <-l.events:
					case <-l.gone:
						return
					}
				}
			}()
			r.clock.Advance(1)
		}, "<nil>"},
		"with its client": {func(_ *rig, _ *api.SubscribeToShardInput, l *listener) { l.cancel() }, "context canceled"},
		"with its consumer": {func(r *rig, in *api.SubscribeToShardInput, _ *listener) {
			must(r, r.deregisterConsumer, &api.DeregisterStreamConsumerInput{ConsumerARN: in.ConsumerARN})
		}, "ResourceNotFoundException: Consumer app was deregistered."},
		"with its stream": {func(r *rig, _ *api.SubscribeToShardInput, _ *listener) {
			must(r, r.deleteStream, &api.DeleteStreamInput{StreamARN: arn, EnforceConsumerDeletion: new(true)})
		}, "ResourceNotFoundException: Stream s under account 000000000000 not found."},
		"with the service": {func(r *rig, in *api.SubscribeToShardInput, _ *listener) {
			ctx, cancel := context.WithCancel(r.t.Context())
			cancel()
			if err := r.Run(ctx); err != nil {
				r.t.Error(err)
			}
			if _, err := r.subscribe(in); err == nil || !strings.HasPrefix(err.Error(), "ServiceUnavailable: ") {
				r.t.Errorf("then a subscription was answered %v", err)
			}
		}, "<nil>"},
		"when another takes over": {func(r *rig, in *api.SubscribeToShardInput, l *listener) {
			r.clock.Advance(takeoverAfter - 1)
			l.silent()
			asked := *in
			asked.DryRun = new(true)
			for _, in := range []*api.SubscribeToShardInput{in, &asked} {
				if _, err := r.subscribe(in); err == nil || err.Error() != "ResourceInUseException: Another active subscription exists for this consumer: app." {
					r.t.Errorf("an early second subscription was answered %v", err)
				}
			}
			r.clock.Advance(1)
			l.next()
			second := r.mustSubscribe(in)
			second.next()
			r.t.Cleanup(second.cancel)
		}, "ResourceInUseException: Another subscription of consumer app took over."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.create("s", 1)
				in := r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil)
				l := r.mustSubscribe(in)
				defer l.cancel()
				l.next()
				test.act(r, in, l)
				if got := l.end(); got != test.want {
					t.Errorf("ended with %s, want %s", got, test.want)
				}
				if r.subscriptions.size() > 1 {
					t.Errorf("%d subscriptions are left", r.subscriptions.size())
				}
			})
		})
	}
}

// A subscription keeps others of its consumer and shard away for five seconds from its beginning, also when it is over: not those of a
// consumer that is registered anew.
func TestSubscribingAgainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", 1)
		in := r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil)
		for range 3 {
			l := r.mustSubscribe(in)
			r.clock.Advance(time.Second)
			l.cancel()
			synctest.Wait()
			r.clock.Advance(takeoverAfter - time.Second - 1)
			if _, err := r.subscribe(in); err == nil || !strings.HasPrefix(err.Error(), "ResourceInUseException: ") {
				t.Errorf("a subscription too early was answered %v", err)
			}
			r.clock.Advance(1)
		}
		r.mustSubscribe(in).cancel()
		must(r, r.deregisterConsumer, &api.DeregisterStreamConsumerInput{ConsumerARN: in.ConsumerARN})
		r.mustSubscribe(r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil)).cancel()
		synctest.Wait()
		if n := r.subscriptions.size(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

// Every ContinuationSequenceNumber is a position to go on from, also one that no record has.
func TestSubscriptionResumes(t *testing.T) {
	subscribed(t, func(r *rig, in *api.SubscribeToShardInput, l *listener) {
		continuation := l.next().ContinuationSequenceNumber
		for i := range 3 {
			l.cancel()
			synctest.Wait()
			r.clock.Advance(takeoverAfter)
			in.StartingPosition = &api.StartingPosition{Type: new(api.ShardIteratorTypeAfterSequenceNumber), SequenceNumber: continuation}
			r.putFirst(fmt.Sprint(i))
			l = r.mustSubscribe(in)
			event := l.next()
			if got := show(event.Records); got != fmt.Sprintf("k=%d", i) {
				t.Errorf("went on with %q after %d", got, i)
			}
			continuation = event.ContinuationSequenceNumber
		}
		l.cancel()
		synctest.Wait()
		r.clock.Advance(takeoverAfter)
		in.StartingPosition = &api.StartingPosition{Type: new(api.ShardIteratorTypeLatest)}
		l = r.mustSubscribe(in)
		continuation = l.next().ContinuationSequenceNumber
		l.cancel()
		synctest.Wait()
		r.clock.Advance(takeoverAfter)
		r.putFirst("late")
		in.StartingPosition = &api.StartingPosition{Type: new(api.ShardIteratorTypeAfterSequenceNumber), SequenceNumber: continuation}
		l = r.mustSubscribe(in)
		if got := show(l.next().Records); got != "k=late" {
			t.Errorf("went on with %q after LATEST", got)
		}
		l.cancel()
	})
}

// At the end of a closed shard the reader is told of the children, without a position to go on from, and the subscription ends; that is the
// one form which KCL accepts.
func TestSubscriptionReachesShardEnd(t *testing.T) {
	subscribed(t, func(r *rig, in *api.SubscribeToShardInput, l *listener) {
		l.next()
		r.putFirst("1")
		l.next()
		r.reshard("s")
		r.clock.Advance(heartbeat)
		event := l.next()
		if event.ContinuationSequenceNumber != nil || len(event.ChildShards) != 2 || event.ChildShards[0].ParentShards[0] != shardID(0) {
			t.Errorf("at the end: %+v", event)
		}
		if got := l.end(); got != "<nil>" {
			t.Errorf("ended with %s", got)
		}
		l = r.mustSubscribe(in)
		if event = l.next(); show(event.Records) != "k=1" || len(event.ChildShards) != 2 {
			t.Errorf("the closed shard anew: %+v", event)
		}
		l.end()
	})
}

// What a reader has to catch up with comes in events of a bounded size.
func TestSubscriptionCatchesUpInBoundedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", 1)
		for range 40 {
			r.putFirst(strings.Repeat("x", 100<<10))
		}
		l := r.mustSubscribe(r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil))
		records := 0
		for records < 40 {
			event := l.next()
			size := 0
			for _, record := range event.Records {
				size += len(record.Data)
			}
			if records += len(event.Records); size > maxEventBytes || len(event.Records) == 0 {
				t.Fatalf("event of %d bytes in %d records", size, len(event.Records))
			}
			if behind := *event.MillisBehindLatest > 0; behind != (records < 40) {
				t.Errorf("behind by %d after %d records", *event.MillisBehindLatest, records)
			}
		}
		l.silent()
		l.cancel()
		synctest.Wait()
	})
}

func TestSubscribeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewVirtual(rigStart)
		r := newRigOn(t, c, memlog.New(c, seeded()), memstate.New(c), Config{MaxSubscriptions: 1})
		r.create("s", 2)
		in := r.consumer("s", "app", api.ShardIteratorTypeTrimHorizon, nil)
		with := func(change func(in *api.SubscribeToShardInput)) *api.SubscribeToShardInput {
			changed := *in
			changed.StartingPosition = new(*in.StartingPosition)
			change(&changed)
			return &changed
		}
		for _, test := range []struct {
			in   *api.SubscribeToShardInput
			want string
		}{
			{with(func(in *api.SubscribeToShardInput) { in.ShardId = new("7") }), "ResourceNotFoundException: Shard shardId-000000000007 in stream s under account 000000000000 does not exist"},
			{with(func(in *api.SubscribeToShardInput) { in.ConsumerARN = new(*in.ConsumerARN + "0") }), "ResourceNotFoundException: Consumer app of stream s under account 000000000000 not found."},
			{with(func(in *api.SubscribeToShardInput) { in.StartingPosition.SequenceNumber = new("5") }), "InvalidArgumentException: Must either specify*"},
			{with(func(in *api.SubscribeToShardInput) {
				in.StartingPosition.Type, in.StartingPosition.SequenceNumber = new(api.ShardIteratorTypeAtSequenceNumber), new("0")
			}), "InvalidArgumentException: StartingSequenceNumber 0 used in SubscribeToShard on shard*"},
			{with(func(in *api.SubscribeToShardInput) { in.DryRun = new(true) }), "DryRunOperationException: *"},
		} {
			refused(r, r.newSubscriber, test.in, test.want)
		}
		l := r.mustSubscribe(in)
		refused(r, r.newSubscriber, with(func(in *api.SubscribeToShardInput) { in.ShardId = new("1") }), "LimitExceededException: *")
		l.cancel()
		synctest.Wait()
		r.clock.Advance(takeoverAfter)
		if _, err := r.newSubscriber(t.Context(), r.call, in); err != nil {
			t.Errorf("after the end of the first: %v", err)
		}
		// A request that ends before its stream begins leaves nothing behind.
		ctx, cancel := context.WithCancelCause(t.Context())
		r.subscriptions = subscriptions{}
		if _, err := r.newSubscriber(ctx, r.call, in); err != nil {
			t.Fatal(err)
		}
		cancel(errors.New("gone"))
		synctest.Wait()
		if n := r.subscriptions.size(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		r.clock.Advance(time.Second)
	})
}
