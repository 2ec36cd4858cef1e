package transfer

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/batch"
)

// TestRecordsLieAtTheirOffsetsOrNowhere: what comes late or again, of this or another transfer, whatever it is batched with, changes nothing.
func TestRecordsLieAtTheirOffsetsOrNowhere(t *testing.T) {
	node, err := app.Start(t.Context(), app.Config{Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0", Data: t.TempDir()}, app.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	s, err := dial(t.Context(), "target", Cluster{Address: node.Addresses().Kafka})
	if err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	if _, err := s.admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	found, err := s.admin.Metadata(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	to := address{topic: "t", id: found.Topics["t"].ID, leader: found.Topics["t"].Partitions[0].Leader}
	const producer = 4711
	for _, row := range []struct {
		name      string
		at, end   int64
		records   int
		taken, ok bool
	}{
		{name: "the first", at: 0, records: 3, end: 3, ok: true},
		{name: "the same again", at: 0, records: 3, end: 3, ok: true}, // is said to lie where it does
		{name: "batched otherwise", at: 0, records: 2, end: 3, taken: true},
		{name: "beyond the end of it", at: 0, records: 5, end: 3, taken: true},
		{name: "ahead", at: 4, records: 1, end: 3, taken: true},
		{name: "the next", at: 3, records: 2, end: 5, ok: true},
		{name: "from the middle", at: 4, records: 2, end: 5, taken: true},
	} {
		b := bytes.Clone(built(0, row.records, batch.NoProducer, 0))
		err := s.place(t.Context(), producer, []placement{{to, piece{at: row.at, records: int64(row.records), bytes: b}}})
		var taken *takenError
		if (err == nil) != row.ok || errors.As(err, &taken) != row.taken {
			t.Errorf("%s: %v", row.name, err)
		}
		if ends, err := s.ends(t.Context(), []string{"t"}); err != nil || ends["t"][0] != row.end {
			t.Errorf("%s: the partition ends at %d, want %d; %v", row.name, ends["t"][0], row.end, err)
		}
	}
	// Of others, who write without regard to anything: it is seen, and nothing more comes behind it.
	other := built(0, 1, batch.NoProducer, 0)
	if err := s.place(t.Context(), 99, []placement{{to, piece{at: 0, records: 1, bytes: other}}}); err == nil {
		t.Error("records for offset 0 came to lie elsewhere, and nobody said so")
	}
	var taken *takenError
	if err := s.place(t.Context(), producer, []placement{{to, piece{at: 6, records: 1, bytes: built(0, 1, batch.NoProducer, 0)}}}); !errors.As(err, &taken) {
		t.Errorf("behind a record of others: %v", err)
	}
}
