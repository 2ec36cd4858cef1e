package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/freshet/freshet/internal/clock"
)

const (
	turnBytes = 16 << 20 // read for one lane before another gets its turn
	readBytes = 64 << 10
	// quiet is how long joined lines wait for another line that belongs to them.
	quiet = time.Second
	// quotesGrace is how long a record may wait for the end of its quotes before that is reported.
	quotesGrace = 10 * time.Second
	// copyGrace is how long a file that begins as a followed one is taken for a copy made before that one is cut.
	copyGrace = 10 * time.Second
)

// errFull says that a file must wait until another is sent to its end. One that is renamed away before is not found by its path any more.
var errFull = errors.New("as many files are open as may be followed")

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// lane follows one path: the file there, and those that were there before and are not done. They are read one after the other, so that the
// records of a path leave in the order in which they were written, and there is one request under way at most.
type lane struct {
	agent   *Agent
	path    string
	fromEnd bool
	since   time.Time   // when waiting was first seen
	waiting os.FileInfo // the file at the path that is not opened yet
	warned  bool        // the last attempt to open the path failed and was reported

	tails []*tail // oldest first; all but perhaps the last are gone from the path
	poll  clock.Ticker

	batch   []types.PutRecordsRequestEntry
	bytes   int
	last    int64 // file offset after the last record of batch
	sending context.Context
	err     error // that ended sending
}

func newLane(a *Agent, path string, fromEnd bool) *lane {
	return &lane{agent: a, path: path, fromEnd: fromEnd, since: a.Clock.Now()}
}

// begin opens what is there. It comes before run, on the caller's goroutine.
func (l *lane) begin() {
	l.tails = l.leftovers()
	l.watch()
}

// run follows the path until soft ends or nothing is there any more. Requests go on until hard ends.
func (l *lane) run(soft, hard context.Context) error {
	defer func() {
		for _, t := range l.tails {
			t.close()
		}
	}()
	l.sending = hard
	l.poll = l.agent.Clock.NewTicker(l.agent.cfg.Poll)
	defer l.poll.Stop()
	for {
		here := l.watch()
		more, err := l.round(soft)
		if err != nil {
			if hard.Err() != nil {
				return nil
			}
			return err
		}
		if !here && len(l.tails) == 0 {
			return nil
		}
		if more && soft.Err() == nil {
			continue
		}
		select {
		case <-soft.Done():
			return nil
		case <-l.poll.C():
		}
	}
}

// watching does what may take long, and goes on to watch the path meanwhile: a file that comes and is renamed away during an outage of the
// endpoint is known, and open, when the outage ends.
func (l *lane) watching(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case err := <-done:
			return err
		case <-l.poll.C():
			l.watch()
		}
	}
}

// watch finds out whether another file is at the path now, and opens it. It returns false if there is none.
func (l *lane) watch() bool {
	info, err := os.Stat(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true // not to be seen just now
	}
	var current *tail
	if n := len(l.tails); n > 0 && l.tails[n-1].gone.IsZero() {
		current = l.tails[n-1]
	}
	if err == nil && current != nil && os.SameFile(info, current.info) {
		return true
	}
	now := l.agent.Clock.Now()
	if current != nil {
		current.gone = now
	}
	if err != nil {
		return false
	}
	if !info.Mode().IsRegular() {
		return len(l.tails) > 0
	}
	l.agent.mu.Lock()
	followed := l.agent.openLocked(info)
	l.agent.mu.Unlock()
	if followed {
		return true // renamed to here, and still being read under the name it had
	}
	if l.waiting == nil || !os.SameFile(info, l.waiting) { // each file has its own time to turn out to be a copy
		l.waiting, l.since = info, now
	}
	var t *tail
	if err = errFull; l.agent.files.Load() < int64(l.agent.cfg.MaxFiles) {
		t, err = l.open(l.path, l.fromEnd, now.Sub(l.since) >= copyGrace)
	}
	switch {
	case err == nil:
		l.tails = append(l.tails, t)
		l.fromEnd, l.warned = false, false
		l.waiting = nil
	case !errors.Is(err, errTwin) && !l.warned:
		l.warned = true
		l.agent.Logger.Warn("file not opened", "path", l.path, "error", err)
	}
	return true
}

// round reads and sends what there is. more means that there is more.
func (l *lane) round(soft context.Context) (more bool, err error) {
	for i := 0; i < len(l.tails); i++ {
		t := l.tails[i]
		changed, cut, err := t.refresh()
		if err != nil {
			l.agent.Logger.Warn("file lost", "path", l.path, "error", err)
			l.drop(i)
			i--
			continue
		}
		t.reportQuotes()
		if !changed && !t.over() && !t.silent() {
			continue
		}
		more, err = l.turn(soft, t, cut)
		if err != nil || more || soft.Err() != nil {
			return more, err
		}
		switch {
		case cut:
			return true, l.reopen(i)
		case t.finished:
			l.drop(i)
			i--
		}
	}
	return false, nil
}

// turn reads a file up to its end, or as much as one lane may at a time, and sends it.
func (l *lane) turn(soft context.Context, t *tail, cut bool) (more bool, err error) {
	err = l.watching(func() error {
		select {
		case l.agent.slots <- struct{}{}:
			return nil
		case <-soft.Done():
			return context.Cause(soft)
		}
	})
	if err != nil {
		return false, nil // the agent stops
	}
	defer func() { <-l.agent.slots }()
	if !cut {
		if more, err = l.read(soft, t); err != nil || more {
			return more, errors.Join(err, l.flush(t))
		}
	}
	over := false
	switch { // by what has just been read: it may be the rest of what was thought to have ended
	case soft.Err() != nil:
	case cut && l.copied(t): // the copy is read from the beginning of the line that has no end yet
	case cut, t.over():
		t.framer.finish()
		over = true
	case t.silent():
		t.framer.release(t.framer.lineStart)
	}
	if err = l.flush(t); err != nil {
		return false, err
	}
	l.agent.marks.move(t.mark, t.head, t.framer.safe(), l.agent.Clock.Now())
	t.finished = over
	return false, nil
}

func (l *lane) read(soft context.Context, t *tail) (more bool, err error) {
	buf := readBuffers.Get().(*[readBytes]byte)
	defer readBuffers.Put(buf)
	for read := 0; read < turnBytes; {
		if soft.Err() != nil || l.err != nil {
			return false, l.err
		}
		n, err := t.file.ReadAt(buf[:], t.framer.pos)
		t.report(err)
		if n > 0 {
			t.framer.feed(buf[:n])
			t.grew = l.agent.Clock.Now()
			read += n
		}
		if err != nil || n == 0 { // at the end, or not readable just now: the next round sees
			return false, l.err
		}
	}
	return true, nil
}

// reopen goes on with a file that was cut: what is in it now is another file, and its copy, if there is one, has what was not read in time.
func (l *lane) reopen(i int) error {
	path := l.tails[i].file.Name()
	l.agent.Logger.Info("file was truncated", "path", path)
	current := l.tails[i].gone.IsZero()
	l.drop(i)
	if !current {
		return nil
	}
	l.tails = append(l.tails, l.leftovers()...)
	l.since = l.agent.Clock.Now()
	return nil
}

func (l *lane) drop(i int) {
	l.tails[i].close()
	l.tails = append(l.tails[:i], l.tails[i+1:]...)
}

// add puts a record into the batch, and sends the batch first if it would be too large.
func (l *lane) add(t *tail, data []byte, key string, end int64) {
	size := len(data) + len(key)
	if len(l.batch) == l.agent.cfg.BatchRecords || l.bytes+size > l.agent.cfg.BatchBytes {
		if err := l.flush(t); err != nil {
			return
		}
	}
	l.batch = append(l.batch, types.PutRecordsRequestEntry{Data: append([]byte(nil), data...), PartitionKey: &key})
	l.bytes += size
	l.last = end
}

// flush sends the batch, and moves the mark of its file when all of it is accepted.
func (l *lane) flush(t *tail) error {
	if len(l.batch) == 0 || l.err != nil {
		return l.err
	}
	l.err = l.watching(func() error { return l.agent.sender.send(l.sending, l.batch) })
	if l.err != nil {
		return l.err
	}
	clear(l.batch)
	l.batch, l.bytes = l.batch[:0], 0
	l.agent.marks.move(t.mark, t.head, l.last, l.agent.Clock.Now())
	return nil
}
