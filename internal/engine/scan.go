package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
)

// scanner walks the groups of a log file from the first and checks every byte of them.
type scanner struct {
	file *logFile
	size int64

	// Where the scan has come: the next group's place, and what it has to say to be the next.
	at     int64
	group  uint64 // number of the last group
	sum    uint32 // its sum, or the header's
	synced uint64 // the largest group that one of the scanned called synced

	buf   []byte // the file from bufAt on
	bufAt int64
}

// scanBytes is how much a scan reads at once, at least.
const scanBytes = 1 * mib

func newScanner(f *logFile) (*scanner, error) {
	size, err := f.file.Size()
	if err != nil {
		return nil, err
	}
	return &scanner{file: f, size: size, at: format.FirstGroup, group: f.Group - 1, sum: f.Sum}, nil
}

// bytes returns n bytes at position at, or fewer at the end of the file. They are valid until the next call.
func (s *scanner) bytes(at int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), s.size-at)))
	if from := at - s.bufAt; from >= 0 && from+int64(n) <= int64(len(s.buf)) {
		return s.buf[from : from+int64(n)], nil
	}
	want := int(min(int64(max(n, scanBytes)), s.size-at))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.bufAt = s.buf[:max(want, 0)], at
	if len(s.buf) == 0 {
		return nil, nil
	}
	if _, err := s.file.file.ReadAt(s.buf, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, diskError("read", s.file.name, err)
	}
	return s.buf[:n], nil
}

// groupAt returns the group at a position, its header and table checked. ok is false if there is none.
func (s *scanner) groupAt(at int64) (g format.Group, ok bool, err error) {
	b, err := s.bytes(at, format.GroupHeaderSize)
	if err != nil {
		return g, false, err
	}
	h, ok := format.ReadGroupHeader(b, s.file.ID)
	if !ok || at+int64(h.Size()) > s.size {
		return g, false, nil
	}
	if b, err = s.bytes(at, h.Size()); err != nil {
		return g, false, err
	}
	g, ok = format.ReadGroup(b, s.file.ID)
	return g, ok, nil
}

// next returns the next group and where it begins. If what is there is not the next group it returns a reason instead, and badAt, the byte where
// that shows. The group is valid until the next call.
func (s *scanner) next() (g format.Group, at int64, badAt int64, reason string, err error) {
	at = s.at
	g, ok, err := s.groupAt(at)
	if err != nil {
		return g, at, at, "", err
	}
	if !ok {
		return g, at, at, fmt.Sprintf("no whole group, number %d should follow", s.group+1), nil
	}
	if g.Number != s.group+1 || g.Previous != s.sum {
		return g, at, at, fmt.Sprintf("group %d follows group %d", g.Number, s.group), nil
	}
	badAt, reason = checkPayloads(&g, at)
	if reason != "" {
		return g, at, badAt, reason, nil
	}
	s.at += int64(g.Size())
	s.group, s.sum, s.synced = g.Number, g.Sum, max(s.synced, g.Synced)
	return g, at, 0, "", nil
}

// checkPayloads checks every payload of a group against its sums.
func checkPayloads(g *format.Group, at int64) (badAt int64, reason string) {
	errStop := errors.New("stop")
	_ = g.Each(func(e format.Entry, payload []byte, in int) error {
		badAt = at + int64(in)
		if sum := format.PayloadSum(e.Kind, payload); sum != e.Sum {
			reason = fmt.Sprintf("entry of group %d has checksum %08x, its bytes %08x", g.Number, e.Sum, sum)
			return errStop
		}
		if e.Kind != format.KindBatch {
			return nil
		}
		if _, err := batch.VerifyStored(payload); err != nil {
			reason = fmt.Sprintf("shard %d of stream %s in group %d: %s", e.Shard.Index, e.Shard.Stream, g.Number, err)
			return errStop
		}
		return nil
	})
	return badAt, reason
}

// proven looks behind a bad place for a group that says that the one missing there was on the disk. Then the place is damaged; otherwise it is
// where a crash cut the log off.
func (s *scanner) proven() (bool, error) {
	missing := s.group + 1
	for at := s.at + format.Align; at+format.GroupHeaderSize <= s.size; at += format.Align {
		b, err := s.bytes(at, format.GroupHeaderSize)
		if err != nil {
			return false, err
		}
		if h, ok := format.ReadGroupHeader(b, s.file.ID); !ok || h.Synced < missing {
			continue
		}
		g, ok, err := s.groupAt(at)
		if err != nil {
			return false, err
		}
		if ok && g.Number > missing && g.Synced >= missing {
			return true, nil
		}
	}
	return false, nil
}
