package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// sample is one measurement: an event of the machine stream. Its partition key is kind and id, so that what is said of one core or
// process stays in order.
type sample struct {
	Sent   time.Time          `json:"sent"`
	Host   string             `json:"host"`
	Kind   string             `json:"kind"` // cpu, memory, disk, network or process
	ID     string             `json:"id"`
	Name   string             `json:"name,omitempty"`
	Values map[string]float64 `json:"values"` // units in the names
}

// maxProcesses bounds the processes told of: those with the most memory.
const maxProcesses = 200

// probe measures one kind of thing, every so many rounds.
type probe struct {
	kind  string
	every int
	read  func(context.Context) ([]sample, error)
	dead  bool // not to be had on this machine
}

func probes(data string) []*probe {
	return []*probe{
		{kind: "cpu", every: 1, read: cores},
		{kind: "memory", every: 2, read: memory},
		{kind: "network", every: 2, read: interfaces},
		{kind: "disk", every: 4, read: func(ctx context.Context) ([]sample, error) { return disks(ctx, data) }},
		{kind: "process", every: 4, read: processes},
	}
}

// measure puts samples into the machine stream until ctx ends.
func (d *demo) measure(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	all := probes(d.at.Data)
	put := newPutter(d, d.machine)
	tick := time.NewTicker(d.cfg.Every)
	defer tick.Stop()
	for round := 0; ; round++ {
		for _, p := range all {
			if p.dead || round%p.every != 0 {
				continue
			}
			samples, err := p.read(ctx)
			if err != nil && len(samples) == 0 && ctx.Err() == nil {
				p.dead = true
				d.logger.Warn("not measured on this machine", "kind", p.kind, "error", err)
			}
			if err = d.add(put, host, p.kind, samples); err != nil {
				return err
			}
			if err = put.flush(ctx); err != nil { // before the next probe, which may take its time
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *demo) add(put *putter, host, kind string, samples []sample) error {
	for _, s := range samples {
		s.Sent, s.Host, s.Kind = time.Now(), host, kind
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode sample: %w", err)
		}
		key := kind + ":" + s.ID
		put.add(types.PutRecordsRequestEntry{Data: data, PartitionKey: &key})
	}
	return nil
}

func cores(ctx context.Context) ([]sample, error) {
	percent, err := cpu.PercentWithContext(ctx, 0, true) // since the last call
	var list []sample
	for i, p := range percent {
		list = append(list, sample{ID: "core" + strconv.Itoa(i), Values: map[string]float64{"used_percent": p}})
	}
	return list, err
}

func memory(ctx context.Context) ([]sample, error) {
	ram, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, err
	}
	list := []sample{{ID: "ram", Values: map[string]float64{
		"total_bytes": float64(ram.Total), "used_bytes": float64(ram.Used), "available_bytes": float64(ram.Available), "used_percent": ram.UsedPercent,
	}}}
	if swap, err := mem.SwapMemoryWithContext(ctx); err == nil && swap.Total > 0 {
		list = append(list, sample{ID: "swap", Values: map[string]float64{
			"total_bytes": float64(swap.Total), "used_bytes": float64(swap.Used), "used_percent": swap.UsedPercent,
		}})
	}
	return list, nil
}

func interfaces(ctx context.Context) ([]sample, error) {
	counters, err := net.IOCountersWithContext(ctx, true)
	var list []sample
	for _, c := range counters {
		list = append(list, sample{ID: c.Name, Values: map[string]float64{
			"sent_bytes": float64(c.BytesSent), "received_bytes": float64(c.BytesRecv),
			"sent_packets": float64(c.PacketsSent), "received_packets": float64(c.PacketsRecv),
			"errors": float64(c.Errin + c.Errout), "dropped": float64(c.Dropin + c.Dropout),
		}})
	}
	return list, err
}

func disks(ctx context.Context, data string) ([]sample, error) {
	counters, err := disk.IOCountersWithContext(ctx)
	var list []sample
	for name, c := range counters {
		list = append(list, sample{ID: name, Values: map[string]float64{
			"read_bytes": float64(c.ReadBytes), "written_bytes": float64(c.WriteBytes), "reads": float64(c.ReadCount), "writes": float64(c.WriteCount),
			"busy_ms": float64(c.IoTime),
		}})
	}
	if usage, failed := disk.UsageWithContext(ctx, data); failed == nil {
		list = append(list, sample{ID: "data", Name: usage.Fstype, Values: map[string]float64{
			"total_bytes": float64(usage.Total), "used_bytes": float64(usage.Used), "used_percent": usage.UsedPercent,
		}})
	}
	return list, err
}

func processes(ctx context.Context) ([]sample, error) {
	all, err := process.ProcessesWithContext(ctx)
	var list []sample
	for _, p := range all {
		// A process that ends meanwhile, or is not ours to look at, is left out; so are the kernel's threads, which have no memory.
		size, err := p.MemoryInfoWithContext(ctx)
		if err != nil || size == nil || size.RSS == 0 {
			continue
		}
		name, err := p.NameWithContext(ctx)
		if err != nil {
			continue
		}
		values := map[string]float64{"resident_bytes": float64(size.RSS)}
		if t, err := p.TimesWithContext(ctx); err == nil {
			values["cpu_user_s"], values["cpu_system_s"] = t.User, t.System
		}
		if n, err := p.NumThreadsWithContext(ctx); err == nil {
			values["threads"] = float64(n)
		}
		list = append(list, sample{ID: strconv.Itoa(int(p.Pid)), Name: name, Values: values})
	}
	slices.SortFunc(list, func(a, b sample) int { return cmp.Compare(b.Values["resident_bytes"], a.Values["resident_bytes"]) })
	return list[:min(len(list), maxProcesses)], err
}
