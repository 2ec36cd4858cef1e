package kinesis

import (
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

// subscriptions are the open SubscribeToShard calls: at most one per consumer and shard.
type subscriptions struct {
	mu       sync.Mutex
	open     map[subscriptionKey]*subscription // and those that are over, while they are too young to be replaced
	over     []*subscription                   // of these, in the order in which they ended
	count    int                               // calls not yet over, those that were taken over included
	draining bool
	idle     *sync.Cond // on mu: count fell to 0
}

type subscriptionKey struct {
	shard    stream.Shard
	consumer string
}

// subscription is one open call.
type subscription struct {
	key     subscriptionKey
	started time.Time
	ended   chan struct{} // closed by end
	removed bool          // guarded by subscriptions.mu
	reason  error         // what the client is told; nil is a normal end. Set before ended is closed.
}

// takeoverAfter is how old a subscription must be for another of the same consumer and shard to replace it.
const takeoverAfter = 5 * time.Second

// check says whether a subscription could be added.
func (s *subscriptions) check(key subscriptionKey, now time.Time, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkLocked(key, now, limit)
}

func (s *subscriptions) checkLocked(key subscriptionKey, now time.Time, limit int) error {
	if s.draining {
		return unavailable()
	}
	if s.count >= limit {
		return aws.Errorf(api.ErrLimitExceeded, "The limit of %d open subscriptions is reached.", limit)
	}
	if older := s.open[key]; older != nil && now.Sub(older.started) < takeoverAfter {
		return aws.Errorf(api.ErrResourceInUse, "Another active subscription exists for this consumer: %s.", key.consumer)
	}
	return nil
}

// add registers a subscription. One that is older than takeoverAfter gives way and is told so; a younger one stays, and keeps its place also when
// it is over.
func (s *subscriptions) add(key subscriptionKey, now time.Time, limit int) (*subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(now)
	if err := s.checkLocked(key, now, limit); err != nil {
		return nil, err
	}
	if older := s.open[key]; older != nil {
		older.endLocked(aws.Errorf(api.ErrResourceInUse, "Another subscription of consumer %s took over.", key.consumer))
	}
	if s.open == nil {
		s.open = map[subscriptionKey]*subscription{}
	}
	added := &subscription{key: key, started: now, ended: make(chan struct{})}
	s.open[key] = added
	s.count++
	return added, nil
}

// forgetLocked takes the places of subscriptions that are over and may be replaced.
func (s *subscriptions) forgetLocked(now time.Time) {
	old := 0
	for ; old < len(s.over) && now.Sub(s.over[old].started) >= takeoverAfter; old++ {
		if sub := s.over[old]; s.open[sub.key] == sub {
			delete(s.open, sub.key)
		}
	}
	s.over = slices.Delete(s.over, 0, old)
}

// remove says that a subscription is over. A second time it does nothing.
func (s *subscriptions) remove(sub *subscription, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.removed {
		return
	}
	sub.removed = true
	s.over = append(s.over, sub)
	s.forgetLocked(now)
	if s.count--; s.count == 0 && s.idle != nil {
		s.idle.Broadcast()
	}
}

// size returns how many are open.
func (s *subscriptions) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// endConsumer ends the subscriptions of a consumer that is no more.
func (s *subscriptions) endConsumer(id stream.ID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, sub := range s.open {
		if key.shard.Stream == id && key.consumer == name {
			sub.endLocked(aws.Errorf(api.ErrResourceNotFound, "Consumer %s was deregistered.", name))
			delete(s.open, key) // one that is registered by its name is another
		}
	}
}

// drain ends all subscriptions normally, lets no new ones in, and returns when the last is over.
func (s *subscriptions) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for _, sub := range s.open {
		sub.endLocked(nil)
	}
	s.idle = sync.NewCond(&s.mu)
	for s.count > 0 {
		s.idle.Wait()
	}
}

// end tells one subscription to end.
func (s *subscriptions) end(sub *subscription, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.endLocked(reason)
}

// endLocked tells a subscription to end, the first reason counts.
func (s *subscription) endLocked(reason error) {
	select {
	case <-s.ended:
	default:
		s.reason = reason
		close(s.ended)
	}
}
