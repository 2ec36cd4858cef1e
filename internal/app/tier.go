package app

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/tier"
)

// tierBucket is the bucket of all segments.
const tierBucket = "tier"

// openTier opens the log whose older part goes to Config.Tier, or returns nil if there is no such place. Streams that need one are an error then:
// of their records only the newest would be found.
func (n *Node) openTier(ctx context.Context) (*tier.Log, error) {
	if n.config.Tier == "" {
		return nil, n.needNoTier(ctx)
	}
	place, err := ObjectsPlace(n.config.Data, n.config.Tier)
	if err != nil {
		return nil, fmt.Errorf("tier: %w", err)
	}
	if !InS3(place) && place == n.config.Objects {
		return nil, &ConfigError{Key: "tier", Wrong: place + " is also the place of delivered objects", Remedy: "give each its own directory"}
	}
	objects, err := n.openObjects(ctx, "tier", place)
	if err != nil {
		return nil, err
	}
	return tier.New(ctx, tier.Config{Bucket: tierBucket, CacheBytes: int64(n.config.TierCache)}, tier.Deps{
		Local: n.engine, State: n.engine.State(), Objects: objects, Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "tier"),
		Full: n.engine.Full,
	})
}

func (n *Node) needNoTier(ctx context.Context) error {
	all, err := n.engine.Streams(ctx)
	if err != nil {
		return err
	}
	for _, st := range all {
		if st.Config.Tier.On {
			return &ConfigError{
				Key: "tier", Wrong: fmt.Sprintf("it is not given, and older records of topic %s are where it was (remote.storage.enable=true)", st.Name),
				Remedy: "give the place again; once no topic has remote.storage.enable=true it can be left out",
			}
		}
	}
	return nil
}

func (n *Node) closeTier() {
	if n.tier != nil {
		n.tier.Close()
	}
}

// wholeLog returns the log with what of it is in objects.
func (n *Node) wholeLog() stream.Log {
	if n.tier != nil {
		return n.tier
	}
	return n.engine
}

// extents returns what tells Kafka clients where the parts of partitions are.
func (n *Node) extents() kafka.Tier {
	if n.tier != nil {
		return n.tier
	}
	return nil
}

// tierFigure is one metric of a tier, read from its Stats.
type tierFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*tier.Stats) int64
}

func ofTier(name, help string, kind prometheus.ValueType, read func(*tier.Stats) int64) tierFigure {
	return tierFigure{prometheus.NewDesc("freshet_tier_"+name, help, nil, nil), kind, read}
}

var tierFigureList = []tierFigure{
	ofTier("copied_segments_total", "Segments copied to objects.", counts, func(s *tier.Stats) int64 { return s.Copied }),
	ofTier("copied_bytes_total", "Bytes of batches copied to objects.", counts, func(s *tier.Stats) int64 { return s.CopiedBytes }),
	ofTier("copy_failures_total", "Copies that have failed and are tried again.", counts, func(s *tier.Stats) int64 { return s.CopyFailures }),
	ofTier("lag_bytes", "Bytes of batches that are due to be copied.", states, func(s *tier.Stats) int64 { return s.Lag }),
	ofTier("segments", "Segments in objects.", states, func(s *tier.Stats) int64 { return s.Segments }),
	ofTier("bytes", "Bytes of batches in objects.", states, func(s *tier.Stats) int64 { return s.TieredBytes }),
	ofTier("deleted_objects_total", "Objects deleted.", counts, func(s *tier.Stats) int64 { return s.Deleted }),
	ofTier("delete_failures_total", "Deletions of objects that have failed and are tried again.", counts, func(s *tier.Stats) int64 { return s.DeleteFailures }),
	ofTier("cache_hits_total", "Parts of objects that readers found in memory.", counts, func(s *tier.Stats) int64 { return s.Hits }),
	ofTier("cache_misses_total", "Parts of objects that readers waited for.", counts, func(s *tier.Stats) int64 { return s.Misses }),
	ofTier("reads_total", "Reads of parts of objects.", counts, func(s *tier.Stats) int64 { return s.Gets }),
	ofTier("read_bytes_total", "Bytes read from objects.", counts, func(s *tier.Stats) int64 { return s.ReadBytes }),
	ofTier("read_failures_total", "Reads of objects that have failed.", counts, func(s *tier.Stats) int64 { return s.ReadFailures }),
	ofTier("mended_reads_total", "Reads of what is damaged in the log, served from objects.", counts, func(s *tier.Stats) int64 { return s.Mended }),
	ofTier("cache_bytes", "Memory of what was read from objects.", states, func(s *tier.Stats) int64 { return s.CacheBytes }),
	ofTier("pinned_bytes", "Memory of what was read from objects that readers hold, of that of the cache.", states, func(s *tier.Stats) int64 { return s.PinnedBytes }),
}

// tierFigures collects the metrics of a tier, all of one moment.
type tierFigures struct{ tier *tier.Log }

// Describe implements prometheus.Collector.
func (tierFigures) Describe(out chan<- *prometheus.Desc) {
	for _, f := range tierFigureList {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (t tierFigures) Collect(out chan<- prometheus.Metric) {
	stats := t.tier.Stats()
	for _, f := range tierFigureList {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.read(&stats)))
	}
}
