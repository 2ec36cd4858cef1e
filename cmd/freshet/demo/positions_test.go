package demo

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// TestDamagedPositionsBeginAnew: the demo starts whatever is left of the file, says so, and keeps positions again.
func TestDamagedPositionsBeginAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "positions.json")
	for _, damaged := range []string{"", `{"shard-0":"12`, `{"shard-0":"1\u0000"}`, `{"shard-0":""}`, "\x00\x00"} {
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		p, err := loadPositions(file, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil || !strings.Contains(logged.String(), "damaged") || p.start("shard-0").Type != types.ShardIteratorTypeTrimHorizon {
			t.Errorf("%q: %v, %s", damaged, err, logged.String())
		}
		p.move("shard-0", "34", 0)
		if err := p.save(); err != nil {
			t.Fatal(err)
		}
		if p, err = loadPositions(file, slog.New(slog.DiscardHandler)); err != nil || *p.start("shard-0").SequenceNumber != "34" {
			t.Errorf("after %q: %v, %v", damaged, p, err)
		}
	}
}

// FuzzPositions: the consumer goes on from what is accepted, and a file without positions is one of no shard.
func FuzzPositions(f *testing.F) {
	f.Add([]byte(`{"shardId-000000000000":"49590338271490256608559692538361571095921575989136588898"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		file := filepath.Join(t.TempDir(), "positions.json")
		if err := os.WriteFile(file, value, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := loadPositions(file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for shard := range p.after {
			if at := p.start(shard); at.SequenceNumber == nil || *at.SequenceNumber == "" {
				t.Fatalf("%q begins at %+v", shard, at)
			}
		}
		p.move("shard", "1", 0)
	})
}
