package agent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	headBytes = 1024   // a file is known by so many of its first bytes, or by all it has
	maxMarks  = 10_000 // marks kept; the least recently changed ones of files not followed now go first
)

// mark is how far one file has been sent.
type mark struct {
	Path    string    `json:"path"` // where it was last seen
	Head    int       `json:"head"` // so many first bytes
	Hash    string    `json:"hash"` // have this SHA-256
	Offset  int64     `json:"offset"`
	Updated time.Time `json:"updated"`
	Ended   bool      `json:"ended,omitempty"` // nothing more was expected of the file at Offset, or it was reported that it is lost

	claimed bool   // somebody follows the file
	head    []byte // what Hash was made of, once the file is followed
}

func (m *mark) knows(head []byte) bool {
	return m.Head > 0 && len(head) >= m.Head && hashOf(head[:m.Head]) == m.Hash
}

// mayBeCopied says that a file which begins with head could be a copy of the mark's, which is followed: still being written, or made after the
// mark was last moved.
func (m *mark) mayBeCopied(head []byte) bool {
	return len(m.head) > 0 && (bytes.HasPrefix(head, m.head) || bytes.HasPrefix(m.head, head))
}

func hashOf(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:])
}

// checkpoints are all marks, and the file they are kept in. Safe for concurrent use.
type checkpoints struct {
	file string

	mu    sync.Mutex
	marks []*mark
	dirty bool
}

// checkpointVersion is that of the file's form.
const checkpointVersion = 2

type checkpointFile struct {
	Version int             `json:"version"`
	Sum     string          `json:"sum"`   // SHA-256 of Files without white space: a wrong offset would leave lines out
	Files   json.RawMessage `json:"files"` // marks
}

func loadCheckpoints(file string) (*checkpoints, error) {
	c := &checkpoints{file: file}
	value, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	if c.marks, err = readMarks(value); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w; move it away to send every file from its beginning", file, err)
	}
	return c, nil
}

func readMarks(value []byte) ([]*mark, error) {
	var doc checkpointFile
	if err := json.Unmarshal(value, &doc); err != nil {
		return nil, err
	}
	if doc.Version != checkpointVersion {
		return nil, fmt.Errorf("version %d is not %d", doc.Version, checkpointVersion)
	}
	var files bytes.Buffer
	if err := json.Compact(&files, doc.Files); err != nil {
		return nil, err
	}
	if hashOf(files.Bytes()) != doc.Sum {
		return nil, errors.New("it is damaged: its entries are not those that its sum was made of")
	}
	var marks []*mark
	if err := json.Unmarshal(doc.Files, &marks); err != nil {
		return nil, err
	}
	for _, m := range marks {
		if m == nil || m.Offset < 0 || m.Head < 0 || m.Head > headBytes {
			return nil, fmt.Errorf("impossible entry %+v", m)
		}
	}
	return marks, nil
}

// claim returns the mark of a file that was found at path, or nil if it is new. twin means that the file begins like one that is followed: it
// may be a copy of it.
func (c *checkpoints) claim(path string, head []byte, size int64) (m *mark, twin bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *mark
	for _, m := range c.marks {
		switch {
		case m.claimed:
			twin = twin || m.Path != path && m.mayBeCopied(head)
		case !m.knows(head):
		case m.Offset > size: // it was longer when it was followed: another file that begins alike
		case best == nil, m.Path == path && best.Path != path, (m.Path == path) == (best.Path == path) && m.Updated.After(best.Updated):
			best = m
		}
	}
	if best != nil {
		best.claimed = true
		return best, false
	}
	return nil, twin
}

// begin makes a mark for a new file.
func (c *checkpoints) begin(path string) *mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &mark{Path: path, claimed: true}
	c.marks = append(c.marks, m)
	return m
}

// release says that the file of m is not followed any more; ended, that all of it was sent.
func (c *checkpoints) release(m *mark, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.claimed = false
	if ended {
		c.endLocked(m)
	}
	if m.Head == 0 { // nothing to know it by
		c.marks = slices.DeleteFunc(c.marks, func(o *mark) bool { return o == m })
	}
}

// left returns what the marks are now of files that were at path and are not followed. Another lane may claim them meanwhile.
func (c *checkpoints) left(path string) []mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []mark
	for _, m := range c.marks {
		if m.Path == path && !m.claimed {
			left = append(left, *m)
		}
	}
	return left
}

func (c *checkpoints) endLocked(m *mark) (changed bool) {
	changed = !m.Ended
	m.Ended, c.dirty = true, c.dirty || changed
	return changed
}

// lost returns the marks whose files are not there, and takes them for ended. there is asked, without a lock, about what the marks are now of files
// that nobody follows and more was expected of.
func (c *checkpoints) lost(there func(mark) bool) []mark {
	c.mu.Lock()
	expected := slices.DeleteFunc(slices.Clone(c.marks), func(m *mark) bool { return m.claimed || m.Ended || m.Head == 0 })
	c.mu.Unlock()
	var lost []mark
	for _, m := range expected {
		c.mu.Lock()
		was := *m
		c.mu.Unlock()
		if there(was) {
			continue
		}
		c.mu.Lock()
		if !m.claimed && c.endLocked(m) {
			lost = append(lost, was)
		}
		c.mu.Unlock()
	}
	return lost
}

// move says that the file of m, which begins with head, has been sent up to offset.
func (c *checkpoints) move(m *mark, head []byte, offset int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.head = head
	if m.Offset == offset && m.Head == len(head) {
		return
	}
	if m.Head != len(head) {
		m.Head, m.Hash = len(head), hashOf(head)
	}
	m.Offset, m.Updated, m.Ended = offset, now, false
	c.dirty = true
}

// save keeps the marks if they have changed: after a crash the file has either the old ones or these.
func (c *checkpoints) save(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	c.prune()
	var marks []*mark
	for _, m := range c.marks {
		if m.Head > 0 {
			marks = append(marks, m)
		}
	}
	files, err := json.Marshal(marks)
	if err != nil {
		return fmt.Errorf("encode checkpoint at %v: %w", now, err)
	}
	value, err := json.MarshalIndent(checkpointFile{checkpointVersion, hashOf(files), files}, "", " ")
	if err != nil {
		return fmt.Errorf("encode checkpoint at %v: %w", now, err)
	}
	if err = replaceFile(c.file, append(value, '\n')); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	c.dirty = false
	return nil
}

func (c *checkpoints) prune() {
	if len(c.marks) <= maxMarks {
		return
	}
	slices.SortStableFunc(c.marks, func(a, b *mark) int {
		if a.claimed != b.claimed {
			if a.claimed {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Updated.UnixNano(), a.Updated.UnixNano())
	})
	c.marks = c.marks[:maxMarks]
}

// replaceFile puts value in the place of a file, so that a crash leaves the old or the new one.
func replaceFile(path string, value []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(value)
	if err == nil {
		err = next.Sync()
	}
	if closed := next.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
