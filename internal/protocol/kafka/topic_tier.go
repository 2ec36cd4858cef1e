package kafka

import (
	"context"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// Tier tells where the parts of topics are whose older part is in objects (KIP-405).
type Tier interface {
	// Extent returns where the parts of a partition are. stream.ErrNotFound.
	Extent(ctx context.Context, id stream.Shard) (stream.Extent, error)
}

// asWhole is how a local retention is written that is the topic's.
const asWhole = "-2"

// tierSettings are those of topics whose older segments go to objects.
func tierSettings() []TopicSetting {
	boolean := func(key, doc string, of func(*stream.Config) *bool) TopicSetting {
		return TopicSetting{
			Key: key, Type: kmsg.ConfigTypeBoolean, Default: "false", Effect: Enforced, Doc: doc, check: boolText,
			apply:  func(c *stream.Config, v string) { *of(c) = strings.EqualFold(v, "true") },
			read:   func(c *stream.Config) string { return strconv.FormatBool(*of(c)) },
			forget: func(c *stream.Config) { *of(c) = false },
		}
	}
	return []TopicSetting{
		boolean("remote.storage.enable", "Whether closed segments are copied to the place that --tier names, where there is one. The cleanup.policy must be delete.",
			func(c *stream.Config) *bool { return &c.Tier.On }),
		boolean("remote.log.copy.disable", "Whether no more segments are copied; those that were stay readable.", func(c *stream.Config) *bool { return &c.Tier.NoCopy }),
		{
			Key: deleteOnDisable, Type: kmsg.ConfigTypeBoolean, Default: "false", Effect: Enforced, check: boolText,
			Doc: "Whether setting remote.storage.enable to false deletes what was copied; without it that is refused.",
		},
		{
			Key: "local.retention.ms", Type: kmsg.ConfigTypeLong, Default: asWhole, Broker: "log.local.retention.ms", Effect: Enforced,
			Doc:   "Age in milliseconds after which segments that were copied are removed locally; -2 for retention.ms.",
			check: atLeast(-2),
			apply: func(c *stream.Config, v string) {
				if c.Tier.Retention = 0; v != asWhole {
					c.Tier.Retention = retention(v)
				}
			},
			read: func(c *stream.Config) string {
				switch {
				case c.Tier.Retention == 0:
					return asWhole
				case c.Tier.Retention < 0:
					return "-1"
				}
				return millis(c.Tier.Retention)
			},
			forget: func(c *stream.Config) { c.Tier.Retention = 0 },
		},
		{
			Key: "local.retention.bytes", Type: kmsg.ConfigTypeLong, Default: asWhole, Broker: "log.local.retention.bytes", Effect: Enforced,
			Doc:   "Bytes that a partition keeps locally before segments that were copied are removed there; -2 for retention.bytes.",
			check: atLeast(-2),
			apply: func(c *stream.Config, v string) {
				switch n := number(v); n {
				case -2:
					c.Tier.RetentionBytes = 0
				case 0:
					c.Tier.RetentionBytes = 1
				default:
					c.Tier.RetentionBytes = n
				}
			},
			read: func(c *stream.Config) string {
				if c.Tier.RetentionBytes == 0 {
					return asWhole
				}
				return strconv.FormatInt(c.Tier.RetentionBytes, 10)
			},
			forget: func(c *stream.Config) { c.Tier.RetentionBytes = 0 },
		},
	}
}

// deleteOnDisable is the config that lets remote.storage.enable be taken back (KIP-950). It has no effect but that.
const deleteOnDisable = "remote.log.delete.on.disable"

// checkTier refuses what a tiered topic cannot have, in the words of Kafka's LogConfig.
func checkTier(c *stream.Config) error {
	if !c.Tier.On {
		return nil
	}
	if c.Compaction.On {
		return refuse(kerr.InvalidConfig, "Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty list.")
	}
	whole := [2]int64{c.RetentionBytes, c.Retention.Milliseconds()}
	if c.RetentionBytes <= 0 {
		whole[0] = -1
	}
	switch {
	case c.Retention < 0:
		whole[1] = -1
	case c.Retention == 0:
		whole[1] = stream.DefaultRetention.Milliseconds()
	}
	local := [2]int64{c.Tier.RetentionBytes, c.Tier.Retention.Milliseconds()}
	if c.Tier.RetentionBytes < 0 {
		local[0] = -1
	}
	if c.Tier.Retention < 0 {
		local[1] = -1
	}
	set := [2]bool{c.Tier.RetentionBytes != 0, c.Tier.Retention != 0}
	for i, unit := range []string{"bytes", "ms"} {
		if err := checkLocalRetention(unit, whole[i], local[i], set[i]); err != nil {
			return err
		}
	}
	for i, unit := range []string{"bytes", "ms"} {
		if c.Tier.NoCopy && set[i] && local[i] != whole[i] {
			return refuse(kerr.InvalidConfig, "When `remote.log.copy.disable` is set to true, the `local.retention.%s` and `retention.%s` must be set to the identical value because there will be no more logs copied to the remote storage.", unit, unit)
		}
	}
	return nil
}

func checkLocalRetention(unit string, whole, local int64, set bool) error {
	key := "local.retention." + unit
	switch {
	case whole < 0 || !set:
		return nil
	case local == -1:
		return refuse(kerr.InvalidConfig, "Invalid value -1 for configuration %s: Value must not be -1 as retention.%s value is set as %d.", key, unit, whole)
	case local > whole:
		return refuse(kerr.InvalidConfig, "Invalid value %d for configuration %s: Value must not be more than retention.%s property value: %d", local, key, unit, whole)
	}
	return nil
}

// checkTierChange refuses what depends on the node, and on what the topic was before: nil for a new one.
func (s *Server) checkTierChange(before *stream.Config, after *stream.Config, labels map[string]string) error {
	switch {
	case after.Tier.On && s.cfg.Tier == nil:
		return refuse(kerr.InvalidConfig, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
	case before != nil && before.Tier.On && !after.Tier.On && !strings.EqualFold(labels[label(deleteOnDisable)], "true"):
		return refuse(kerr.InvalidConfig, "It is invalid to disable remote storage without deleting remote data. "+
			"If you want to keep the remote data and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. "+
			"If you want to disable remote storage and delete all remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.")
	}
	return nil
}

// extent returns where the parts of a partition are: all of it locally unless its topic is tiered.
func (s *Server) extent(ctx context.Context, st *stream.Stream, address stream.Shard, b *stream.Bounds) (stream.Extent, error) {
	if s.cfg.Tier == nil || !st.Config.Tier.On {
		return stream.Extent{Local: b.Start, LocalBytes: b.Bytes, Tiered: -1}, nil
	}
	return s.cfg.Tier.Extent(ctx, address)
}

// tieredOffset answers a ListOffsets that asks where the parts of a partition are: -4, -5 or -6. ok is false if there is no such offset.
func (s *Server) tieredOffset(ctx context.Context, st *stream.Stream, address stream.Shard, b *stream.Bounds, asked int64) (at stream.Offset, ok bool, err error) {
	x, err := s.extent(ctx, st, address, b)
	switch {
	case err != nil:
		return -1, false, err
	case asked == earliestLocal:
		return x.Local, true, nil
	case asked == latestTiered:
		return x.Tiered - 1, x.Tiered >= 0, nil
	case !st.Config.Tier.On:
		return -1, false, nil
	case x.Tiered < 0:
		return b.Start, true, nil
	}
	return max(x.Tiered, b.Start), true, nil
}
