package kafka

import (
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// metered is what is known of a client's quotas.
type metered struct {
	limits *quota.Limits
	of     principal.Principal // whose limits they are
	client string              // the client id that they are for

	wait   time.Duration // for the request being served
	waited time.Duration // that it waited for others, which is nobody's processor time
}

// throttled is an answer that can say how long the client is to wait.
type throttled interface{ throttle(wait time.Duration) }

// limited says whether anybody has a quota of a kind, without which nothing is measured.
func (s *Server) limited(k quota.Kind) bool { return s.cfg.Quotas != nil && s.cfg.Quotas.Active(k) }

// limits returns what goes for the client now.
func (c *Client) limits(now time.Time) *quota.Limits {
	m, book := &c.metered, c.server.cfg.Quotas
	if m.limits == nil || m.limits.Version != book.Version() || m.of != c.Principal() || m.client != c.ID {
		m.of, m.client = c.Principal(), c.ID
		m.limits = book.For(m.of.Name, m.client, now)
	}
	return m.limits
}

// take records what the client took of a kind: it is to wait if that was more than it may.
func (c *Client) take(k quota.Kind, amount float64) time.Duration {
	if !c.server.limited(k) {
		return 0
	}
	now := c.server.clock.Now()
	wait := c.limits(now).Take(k, amount, now)
	c.metered.wait = max(c.metered.wait, wait)
	return wait
}

// mostFetched bounds what one Fetch of the client may have, at most limit: what comes in the time over which a quota is measured.
func (c *Client) mostFetched(limit int64) int64 {
	if c.server.limited(quota.ConsumerBytes) {
		if most, ok := c.limits(c.server.clock.Now()).Most(quota.ConsumerBytes); ok {
			return min(limit, max(1, int64(most)))
		}
	}
	return limit
}

var errMutations = refuse(kerr.ThrottlingQuotaExceeded, "The throttling quota has been exceeded.")

// mutate asks to create or delete n partitions (KIP-599). Who sends a version that knows of this quota is refused, if strict is set; others only
// have to wait afterwards.
func (c *Client) mutate(n int32, strict bool) error {
	if c.trusted || !c.server.limited(quota.Mutations) {
		return nil
	}
	now := c.server.clock.Now()
	taken, wait := c.limits(now).Mutate(float64(n), now, strict)
	if !taken || !strict {
		c.metered.wait = max(c.metered.wait, wait)
	}
	if !taken {
		return errMutations
	}
	return nil
}

// serveMetered is serve, with the client made to wait afterwards if it took more than it may: its answer goes out at once and says how long
// (KIP-219), and nothing more is read from it meanwhile.
func (c *Client) serveMetered(ctx context.Context, r *wire.Request) (wire.Answer, error) {
	c.metered.wait, c.metered.waited = 0, 0
	var began time.Time
	timed := c.server.limited(quota.RequestTime) && (c.auth == nil || c.proved)
	if timed {
		began = c.server.clock.Now()
	}
	a, err := c.serve(ctx, r)
	if timed && err == nil {
		busy := c.server.clock.Now().Sub(began) - c.metered.waited
		c.take(quota.RequestTime, 100*max(0, busy).Seconds())
	}
	if wait := c.metered.wait; wait > 0 && err == nil {
		if t, ok := a.(throttled); ok {
			t.throttle(wait)
		}
		c.conn.Mute(wait)
	}
	return a, err
}

// waits notes that the client's request waited since a time; zero is no time.
func (c *Client) waits(since time.Time) {
	if !since.IsZero() {
		c.metered.waited += c.server.clock.Now().Sub(since)
	}
}

// waitBegins returns what waits is to be told, if that is of interest.
func (c *Client) waitBegins() time.Time {
	if !c.server.limited(quota.RequestTime) {
		return time.Time{}
	}
	return c.server.clock.Now()
}

func throttleMillis(wait time.Duration) int32 {
	return int32((wait + time.Millisecond - 1) / time.Millisecond)
}

// throttle implements throttled.
func (m *message) throttle(wait time.Duration) {
	if r, ok := m.resp.(kmsg.SetThrottleResponse); ok {
		r.SetThrottle(throttleMillis(wait))
	}
}

// throttle implements throttled.
func (a *produced) throttle(wait time.Duration) { a.throttleMillis = throttleMillis(wait) }

// throttle implements throttled.
func (a *fetched) throttle(wait time.Duration) { a.throttleMillis = throttleMillis(wait) }

// admit says how long a new connection is held up, unserved, because its address opens them too fast (KIP-612): 0 if it does not.
func (s *Server) admit(peer net.Addr) time.Duration {
	if !s.limited(quota.Connections) {
		return 0
	}
	c := Client{Addr: peer}
	return s.cfg.Quotas.Connect(c.Host(), s.clock.Now())
}
