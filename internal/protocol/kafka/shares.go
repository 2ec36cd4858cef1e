package kafka

import (
	"context"
	"strings"

	"github.com/freshet/freshet/internal/protocol/kafka/groupconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// newShares returns the coordinator of share groups.
func newShares(ctx context.Context, s *Server) (*share.Coordinator, error) {
	return share.New(ctx, s.cfg.Shares, share.Deps{
		Log: s.log, Store: s.state, Clock: s.clock, Random: s.cfg.Random, Logger: s.logger, Memory: shareMemory{s.answers, s.beyond}, Settings: s.shareSettings,
	})
}

// shareMemory is that of Fetch answers.
type shareMemory struct {
	*wire.Budget
	beyond *wire.Budget
}

// TakeBatch implements share.Memory.
func (m shareMemory) TakeBatch(ctx context.Context) error { return m.beyond.Take(ctx, beyondBatch) }

// GiveBatch implements share.Memory.
func (m shareMemory) GiveBatch() { m.beyond.Give(beyondBatch) }

// shareSettings returns what holds for a share group: what it has set, and the defaults for the rest.
func (s *Server) shareSettings(id string, d share.Settings) share.Settings {
	d.AssignEvery = s.broker.Duration("group.share.assignment.interval.ms")
	for key, value := range s.configs.Set(id) {
		switch key {
		case "share.assignment.interval.ms":
			d.AssignEvery = s.configs.Duration(id, key)
		case "share.session.timeout.ms":
			d.Session = s.configs.Duration(id, key)
		case "share.heartbeat.interval.ms":
			d.Heartbeat = s.configs.Duration(id, key)
		case "share.record.lock.duration.ms":
			d.Lock = s.configs.Duration(id, key)
		case "share.delivery.count.limit":
			d.Deliveries = int16(s.configs.Int(id, key))
		case "share.partition.max.record.locks":
			d.Locks = s.configs.Int(id, key)
		case "share.isolation.level":
			d.Committed = value == "read_committed"
		case "share.renew.acknowledge.enable":
			d.NoRenew = strings.EqualFold(value, "false")
		case "share.auto.offset.reset":
			ago, _ := groupconfig.ResetAgo(value)
			d.Reset = share.Reset{Earliest: value == "earliest", Ago: ago}
		}
	}
	return d
}
