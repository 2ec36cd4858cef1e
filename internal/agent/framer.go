package agent

import (
	"bytes"
	"regexp"
)

// framer cuts a file's bytes into lines, and joins lines that make one record: those after a start line, or within the quotes of csv.
type framer struct {
	start  *regexp.Regexp // of a record's first line, or nil
	quoted bool           // a record ends where its quotes are even; a quote that nothing closes before max opens none
	max    int            // bytes of a record; one with a longer line is left out whole

	pos       int64  // file offset of the next byte fed
	lineStart int64  // of the line being read
	line      []byte // the line being read, without an end yet
	skipping  bool   // the line being read is too long: line has only its beginning
	odd       bool   // what was read of it and is not in line has an odd number of quotes

	held      []byte // lines of a record that may go on
	heldStart int64
	heldNext  int64 // file offset after its first line
	holding   bool
	overflow  bool // the held record is too long
	inQuotes  bool // the held record goes on: the quotes of its first line are odd, those of the others even

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
	long := f.skipping || len(trimReturn(line)) > f.max
	if long {
		line = line[:f.max] // the same beginning wherever the reads were cut
	}
	f.whole(line, long)
	f.line, f.skipping, f.odd, f.lineStart = f.line[:0], false, false, f.pos
}

func oddQuotes(text []byte) bool { return bytes.Count(text, []byte{'"'})%2 != 0 }

// trimReturn takes the carriage return from the end of a line.
func trimReturn(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\r'}) }

// whole takes a complete line. If it is too long, it is given its beginning. It still belongs to its record: to pass over it would join the lines
// around it to a record nobody wrote, and report it again whenever that record is read again.
func (f *framer) whole(line []byte, long bool) {
	text := trimReturn(line)
	switch {
	case f.quoted:
		if f.inQuotes && (long || !f.fits(line)) {
			f.stray(f.lineStart)
		}
		f.hold(line, long)
		f.inQuotes = f.inQuotes != f.odd
		if !f.inQuotes || f.overflow {
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

// stray gives up the held record, whose lines end at end, because nothing closed the quote that its first line opens: that line is left to the
// format to refuse, and each of the others is a record of its own, as its quotes are even. So a stray quote costs its line, and no other.
func (f *framer) stray(end int64) {
	pos, lineStart, odd := f.pos, f.lineStart, f.odd
	line, rest, more := bytes.Cut(f.held, []byte{'\n'})
	f.emit(trimReturn(line), f.heldNext)
	f.lineStart, f.odd = f.heldNext, false
	f.held = nil // rest is in it
	f.drop()
	for more {
		line, rest, more = bytes.Cut(rest, []byte{'\n'})
		f.pos = min(f.lineStart+int64(len(line))+1, end) // the last line of a file may have no end
		f.whole(line, false)
		f.lineStart = f.pos
	}
	f.pos, f.lineStart, f.odd = pos, lineStart, odd
}

// fits says that the held record can go on with a line.
func (f *framer) fits(line []byte) bool { return len(f.held)+1+len(line) <= f.max }

func (f *framer) hold(line []byte, long bool) {
	if !f.holding {
		f.holding, f.heldStart, f.heldNext, f.overflow = true, f.lineStart, f.pos, long
	} else {
		f.overflow = f.overflow || long || !f.fits(line)
		f.held = append(f.held, '\n')
	}
	if f.overflow {
		f.held = f.held[:0]
		return
	}
	f.held = append(f.held, line...)
}

// release emits the held record, which ends at end.
func (f *framer) release(end int64) {
	if !f.holding {
		return
	}
	text := f.held
	if f.quoted { // where each line has its end as it stands
		text = trimReturn(text)
	}
	switch {
	case f.overflow:
		f.tooLong()
	case len(text) > 0:
		f.emit(text, end)
	}
	f.drop()
}

// finish emits what has no end, because no more will come.
func (f *framer) finish() {
	if len(f.line) > 0 {
		f.endLine(f.line)
	}
	if f.inQuotes {
		f.stray(f.pos)
	}
	f.release(f.pos)
}
