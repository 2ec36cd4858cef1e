package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/govern/quota"
)

// logFigure is one metric of the log, read from its Stats.
type logFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*engine.Stats) float64
}

func figure(name, help string, kind prometheus.ValueType, read func(*engine.Stats) float64) logFigure {
	return logFigure{prometheus.NewDesc("freshet_log_"+name, help, nil, nil), kind, read}
}

const (
	counts = prometheus.CounterValue
	states = prometheus.GaugeValue
)

var logFigureList = []logFigure{
	figure("commits_total", "Group commits.", counts, func(s *engine.Stats) float64 { return float64(s.Groups) }),
	figure("syncs_total", "Syncs of log files.", counts, func(s *engine.Stats) float64 { return float64(s.Syncs) }),
	figure("written_bytes_total", "Bytes of group commits.", counts, func(s *engine.Stats) float64 { return float64(s.Written) }),
	figure("cold_reads_total", "Reads of batches from files instead of memory.", counts, func(s *engine.Stats) float64 { return float64(s.ColdReads) }),
	figure("corrupt_reads_total", "Reads that failed because stored bytes are not what was written.", counts, func(s *engine.Stats) float64 { return float64(s.CorruptReads) }),
	figure("checkpoints_total", "Checkpoints written.", counts, func(s *engine.Stats) float64 { return float64(s.Checkpoints) }),
	figure("rewritten_files_total", "Files written anew to leave out dead bytes.", counts, func(s *engine.Stats) float64 { return float64(s.Rewrites) }),
	figure("rewritten_bytes_total", "Bytes written anew.", counts, func(s *engine.Stats) float64 { return float64(s.Rewritten) }),
	figure("removed_files_total", "Files removed.", counts, func(s *engine.Stats) float64 { return float64(s.Removed) }),
	figure("compactions_total", "Times that something was compacted.", counts, func(s *engine.Stats) float64 { return float64(s.Compaction.Runs) }),
	figure("compaction_written_bytes_total", "Bytes of files that compaction wrote.", counts, func(s *engine.Stats) float64 { return float64(s.Compaction.Written) }),
	figure("compaction_reclaimed_bytes_total", "Bytes of batches that compaction left out.", counts, func(s *engine.Stats) float64 { return float64(s.Compaction.Freed) }),
	figure("compaction_last_run_timestamp_seconds", "When something was compacted last; 0 if it was not yet.", states, func(s *engine.Stats) float64 { return unixOrZero(s.Compaction.LastRun) }),
	figure("compaction_last_run_seconds", "How long that took.", states, func(s *engine.Stats) float64 { return s.Compaction.Took.Seconds() }),
	figure("compaction_dirty_bytes", "Bytes of batches that may be compacted and were not yet.", states, func(s *engine.Stats) float64 { return float64(s.Compaction.Dirty) }),
	figure("compaction_max_dirty_ratio", "Largest share of a partition that those have, 0 to 1.", states, func(s *engine.Stats) float64 { return s.Compaction.Dirtiest }),
	figure("compaction_uncleanable_partitions", "Partitions that are left as they are because something in them cannot be read.", states, func(s *engine.Stats) float64 { return float64(s.Compaction.Left) }),
	figure("compacted_files", "Files of what was compacted.", states, func(s *engine.Stats) float64 { return float64(s.Compaction.Files) }),
	figure("files", "Log files.", states, func(s *engine.Stats) float64 { return float64(s.Files) }),
	figure("file_bytes", "Disk space of log files, reserved space included.", states, func(s *engine.Stats) float64 { return float64(s.FileBytes) }),
	figure("live_bytes", "Bytes of readable batches.", states, func(s *engine.Stats) float64 { return float64(s.LiveBytes) }),
	figure("tail_bytes", "Memory of the newest records.", states, func(s *engine.Stats) float64 { return float64(s.TailBytes) }),
	figure("pinned_bytes", "Memory of records that readers still hold and that are no longer the newest.", states, func(s *engine.Stats) float64 { return float64(s.PinnedBytes) }),
	figure("index_bytes", "Memory of file indexes.", states, func(s *engine.Stats) float64 { return float64(s.IndexBytes) }),
	figure("recovery_seconds", "Time that opening the log took.", states, func(s *engine.Stats) float64 { return s.Recovery.Seconds() }),
	figure("unclean_start", "1 if the log had not been closed before it was opened.", states, func(s *engine.Stats) float64 { return oneIf(s.Unclean) }),
	figure("disk_full", "1 while writes are refused because the disk is full or no file can be opened.", states, func(s *engine.Stats) float64 { return oneIf(s.Full) }),
}

func unixOrZero(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// logFigures collects the metrics of a log, all of one moment.
type logFigures struct{ engine *engine.Engine }

// Describe implements prometheus.Collector.
func (logFigures) Describe(out chan<- *prometheus.Desc) {
	for _, f := range logFigureList {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (l logFigures) Collect(out chan<- prometheus.Metric) {
	stats := l.engine.Stats(false)
	for _, f := range logFigureList {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(&stats))
	}
}

// quotaFigures collects what is known of Kafka clients that quotas have made to wait.
type quotaFigures struct {
	book  *quota.Book
	clock clock.Clock
}

var quotaLabels = []string{"quota", "user", "client", "address"}

// quotaFigureList are the metrics of each client by name: there are at most quota.MaxFigures.
var quotaFigureList = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*quota.Figure) float64
}{
	{
		prometheus.NewDesc("freshet_kafka_quota_throttled_seconds_total", "Time that a Kafka client was made to wait by its quota.", quotaLabels, nil),
		counts, func(f *quota.Figure) float64 { return f.Throttled.Seconds() },
	},
	{
		prometheus.NewDesc("freshet_kafka_quota_throttles_total", "Times that it was made to wait.", quotaLabels, nil),
		counts, func(f *quota.Figure) float64 { return float64(f.Times) },
	},
	{
		prometheus.NewDesc("freshet_kafka_quota_rate", "What it takes per second of what its quota is about; 0 for partitions, and when its quota was removed.", quotaLabels, nil),
		states, func(f *quota.Figure) float64 { return f.Rate },
	},
	{
		prometheus.NewDesc("freshet_kafka_quota_limit", "What it could take when it was made to wait last.", quotaLabels, nil),
		states, func(f *quota.Figure) float64 { return f.Limit },
	},
}

// Describe implements prometheus.Collector.
func (quotaFigures) Describe(out chan<- *prometheus.Desc) {
	for _, f := range quotaFigureList {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (q quotaFigures) Collect(out chan<- prometheus.Metric) {
	for _, client := range q.book.Figures(q.clock.Now()) {
		for _, f := range quotaFigureList {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(&client), client.Kind.String(), client.User, client.Client, client.Address)
		}
	}
}
