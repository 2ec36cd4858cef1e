package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// tail is one open file.
type tail struct {
	lane   *lane
	file   source
	info   os.FileInfo // when it was last looked at
	head   []byte      // its first bytes, up to headBytes
	mark   *mark
	framer framer
	format format

	gone     time.Time // when it was seen to be at its path no more; zero = it is there
	grew     time.Time // when bytes were last read, or it was opened
	finished bool      // all there will be of it was sent

	unreadable bool // the last read failed, and was reported

	quotesAt    int64     // where the record begins that was last seen to wait for the end of its quotes
	quotesSince time.Time // when it was first seen; zero = it was reported, or there is none
}

// errTwin says that a file begins as one that is followed: perhaps its copy, which is to go on where that one was left.
var errTwin = errors.New("begins as a file that is followed")

// open opens the file at path and finds out how far it has been sent. distinct says that a file which begins like another is one of its own.
func (l *lane) open(path string, fromEnd, distinct bool) (*tail, error) {
	f, err := openSource(path)
	if err != nil {
		return nil, err
	}
	return l.follow(path, f, fromEnd, distinct)
}

// follow is open of an open file, which it closes if it fails.
func (l *lane) follow(path string, f source, fromEnd, distinct bool) (*tail, error) {
	info, head, err := look(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m, twin := l.agent.marks.claim(path, head, info.Size())
	if m == nil && twin && !distinct {
		return nil, errors.Join(errTwin, f.Close())
	}
	at := int64(0)
	switch {
	case m != nil:
		at = m.Offset
	default:
		m = l.agent.marks.begin(path)
		if fromEnd {
			at = info.Size()
		}
	}
	t := &tail{lane: l, file: f, info: info, head: head, mark: m, grew: l.agent.Clock.Now(), quotesAt: -1}
	t.framer = framer{
		start: l.agent.multiline, quoted: l.agent.cfg.Format == "csv", max: l.agent.cfg.MaxLineBytes,
		lines: func() { l.agent.lines.Add(1) }, tooLong: t.tooLong, emit: t.emit,
	}
	t.begin(at)
	l.agent.marks.move(m, head, at, t.grew)
	l.agent.opened(t)
	l.agent.Logger.Info("file followed", "path", path, "offset", at, "size", info.Size())
	return t, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// look returns what a file is now, and its first bytes.
func look(f source) (os.FileInfo, []byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	head, err := headOf(f)
	return info, head, err
}

func headOf(f source) ([]byte, error) {
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}

// begin sets the tail to a place in its file. A format that needs it reads the file's first line from there.
func (t *tail) begin(at int64) {
	t.format = t.lane.agent.format()
	t.framer.reset(at)
	if at == 0 || !t.format.needsHead() {
		return
	}
	head := framer{quoted: t.framer.quoted, max: t.framer.max, lines: func() {}, tooLong: func() {}}
	done := false
	head.emit = func(text []byte, _ int64) {
		if !done {
			done = true
			_, _, _ = t.format.record(text) // the header was judged when the file was begun
		}
	}
	buf := make([]byte, 4<<10)
	for !done && head.pos < at {
		n, err := t.file.ReadAt(buf, head.pos)
		head.feed(buf[:n])
		if err != nil || n == 0 {
			break
		}
	}
	if !done {
		head.finish() // a quote in it that nothing closes
	}
}

// refresh looks whether the file has grown, or was cut and begins anew: then cut is true.
func (t *tail) refresh() (changed, cut bool, err error) {
	info, err := t.file.Stat()
	if err != nil {
		return false, false, err
	}
	if info.Size() == t.info.Size() && info.ModTime().Equal(t.info.ModTime()) && info.Size() == t.framer.pos {
		return false, false, nil
	}
	info, head, err := look(t.file)
	if err != nil {
		return false, false, err
	}
	if info.Size() < t.framer.pos || !bytes.HasPrefix(head, t.head) {
		return true, true, nil
	}
	changed = info.Size() != t.framer.pos
	t.info, t.head = info, head
	return changed, false, nil
}

// over says that nothing more will come: the file has left its path, and was silent for a while.
func (t *tail) over() bool {
	a := t.lane.agent
	return !t.gone.IsZero() && a.Clock.Now().Sub(later(t.gone, t.grew)) >= a.cfg.RotateGrace
}

// silent says that joined lines have waited long enough for another that belongs to them.
func (t *tail) silent() bool {
	a := t.lane.agent
	return t.framer.holding && a.multiline != nil && a.Clock.Now().Sub(t.grew) >= quiet
}

// reportQuotes says once of a record that it waits for the end of its quotes: nothing behind it is sent meanwhile.
func (t *tail) reportQuotes() {
	now := t.lane.agent.Clock.Now()
	switch f := &t.framer; {
	case !f.inQuotes:
		t.quotesAt = -1
	case f.heldStart != t.quotesAt:
		t.quotesAt, t.quotesSince = f.heldStart, now
	case !t.quotesSince.IsZero() && now.Sub(t.quotesSince) >= quotesGrace:
		t.quotesSince = time.Time{}
		t.lane.agent.Logger.Warn("rows wait for the end of quotes", "path", t.lane.path, "offset", f.heldStart, "max", f.max)
	}
}

// report says that the file cannot be read, once until it can be again.
func (t *tail) report(err error) {
	failed := err != nil && !errors.Is(err, io.EOF)
	if failed && !t.unreadable {
		t.lane.agent.Logger.Warn("file not readable, will be tried again", "path", t.lane.path, "offset", t.framer.pos, "error", err)
	}
	t.unreadable = failed
}

// emit makes a record of a line and adds it to the batch.
func (t *tail) emit(text []byte, end int64) {
	l := t.lane
	data, key, err := t.format.record(text)
	switch {
	case errors.Is(err, errNoRecord):
		return
	case errors.Is(err, errNoKey):
		l.agent.Logger.Warn("records get random keys", "path", l.path, "key", l.agent.cfg.Key, "reason", err)
		return
	case err != nil:
		l.agent.bad.Add(1)
		l.agent.Logger.Warn("line left out", "path", l.path, "offset", t.framer.safe(), "reason", err)
		return
	}
	if key = clipKey(key); key == "" {
		key = l.agent.sender.randomKey()
	}
	if len(data)+len(key) > maxRecordBytes {
		t.tooLong()
		return
	}
	l.add(t, data, key, end)
}

func (t *tail) tooLong() {
	t.lane.agent.tooLong.Add(1)
	t.lane.agent.Logger.Warn("line left out", "path", t.lane.path, "offset", t.framer.safe(), "reason", "too long",
		"max", t.lane.agent.cfg.MaxLineBytes)
}

func (t *tail) close() {
	t.lane.agent.closed(t)
	if err := t.file.Close(); err != nil {
		t.lane.agent.Logger.Warn("close file", "path", t.lane.path, "error", err)
	}
}

func (a *Agent) opened(t *tail) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tails[t] = t.info
	a.files.Add(1)
}

func (a *Agent) closed(t *tail) {
	a.marks.release(t.mark, t.finished)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tails, t)
	a.files.Add(-1)
}
