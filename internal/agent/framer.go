package agent

import (
	"bytes"
	"regexp"
)

// framer cuts a file's bytes into lines, and joins lines that make one record: those after a start line, or within the quotes of csv.
type framer struct {
	start  *regexp.Regexp // of a record's first line, or nil
	quoted bool           // a record ends where its quotes are even
	max    int            // bytes of a record; one with a longer line is left out whole

	pos       int64  // file offset of the next byte fed
	lineStart int64  // of the line being read
	line      []byte // the line being read, without an end yet
	skipping  bool   // the line being read is too long: line has only its beginning
	odd       bool   // what was read of it and is not in line has an odd number of quotes

	held      []byte // lines of a record that may go on
	heldStart int64
	holding   bool
	overflow  bool // the held record is too long
	inQuotes  bool // the held record goes on because its quotes are odd, those that were left out included

	emit    func(text []byte, end int64) // a record; text is valid during the call, end is the file offset after it, safe() that of its start
	lines   func()                       // a complete line was read
	tooLong func()                       // the line or record that starts at safe() was left out
}

// reset begins at offset at of a file.
func (f *framer) reset(at int64) {
	f.pos, f.lineStart, f.line, f.skipping, f.odd = at, at, f.line[:0], false, false
	f.drop()
}

func (f *framer) drop() {
	f.held, f.holding, f.overflow, f.inQuotes = f.held[:0], false, false, false
}

// safe returns the offset to begin at again so that nothing that was not emitted is missed.
func (f *framer) safe() int64 {
	if f.holding {
		return f.heldStart
	}
	return f.lineStart
}

// feed takes the next bytes of the file.
func (f *framer) feed(p []byte) {
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			f.part(p)
			f.pos += int64(len(p))
			return
		}
		whole := p[:n]
		f.pos += int64(n) + 1
		p = p[n+1:]
		if len(f.line) > 0 {
			f.part(whole)
			whole = f.line
		}
		f.endLine(whole)
	}
}

// part adds to the line being read. Of one that is too long the beginning is kept, to tell whether a record starts with it.
func (f *framer) part(p []byte) {
	if room := len(byteOrderMark) + f.max + 1 - len(f.line); len(p) > room { // one more for the carriage return
		f.odd = f.odd != oddQuotes(p[room:])
		f.skipping, p = true, p[:room]
	}
	f.line = append(f.line, p...)
}

// byteOrderMark is what some programs begin a text file with; it is part of no line.
var byteOrderMark = []byte("\ufeff")

// endLine takes the line being read, which ends at f.pos.
func (f *framer) endLine(line []byte) {
	f.lines()
	f.odd = f.odd != oddQuotes(line)
	if f.lineStart == 0 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	text, long := bytes.TrimSuffix(line, []byte{'\r'}), f.skipping
	if long || len(text) > f.max {
		text, long = line[:f.max], true // the same beginning wherever the reads were cut
	}
	f.whole(text, long)
	f.line, f.skipping, f.odd, f.lineStart = f.line[:0], false, false, f.pos
}

func oddQuotes(text []byte) bool { return bytes.Count(text, []byte{'"'})%2 != 0 }

// strayQuote is how often a record within quotes may exceed its bound: from there on its first quote is taken for one that opens nothing, so that it
// does not take the rest of the file along.
const strayQuote = 8

// whole takes a complete line. If it is too long, text is its beginning. It still belongs to its record: to pass over it would join the lines
// around it to a record nobody wrote, and report it again whenever that record is read again.
func (f *framer) whole(text []byte, long bool) {
	switch {
	case f.quoted:
		f.hold(text, long)
		f.inQuotes = f.inQuotes != f.odd
		if !f.inQuotes || f.pos-f.heldStart > int64(strayQuote*f.max) {
			f.release(f.pos)
		}
	case f.start != nil:
		if f.start.Match(text) {
			f.release(f.lineStart)
		}
		f.hold(text, long)
	case long:
		f.tooLong()
	case len(text) > 0:
		f.emit(text, f.pos)
	}
}

func (f *framer) hold(text []byte, long bool) {
	if !f.holding {
		f.holding, f.heldStart = true, f.lineStart
	} else {
		f.held = append(f.held, '\n')
	}
	if long || len(f.held)+len(text) > f.max {
		f.overflow = true
	}
	if f.overflow {
		f.held = f.held[:0]
		return
	}
	f.held = append(f.held, text...)
}

// release emits the held record, which ends at end.
func (f *framer) release(end int64) {
	if !f.holding {
		return
	}
	switch {
	case f.overflow:
		f.tooLong()
	case len(f.held) > 0:
		f.emit(f.held, end)
	}
	f.drop()
}

// finish emits what has no end, because no more will come.
func (f *framer) finish() {
	if len(f.line) > 0 {
		f.endLine(f.line)
	}
	f.release(f.pos)
}
