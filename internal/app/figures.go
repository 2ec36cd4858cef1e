package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/engine"
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
