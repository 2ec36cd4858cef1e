package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// leftovers opens the files that were at the lane's path, have another name now, and were not sent to their end: those rotated while nobody
// looked.
func (l *lane) leftovers() []*tail {
	marks := l.agent.marks.left(l.path)
	if len(marks) == 0 {
		return nil
	}
	var found []*tail
	for _, name := range beside(l.path) {
		f := l.unsent(name, marks)
		if f == nil {
			continue
		}
		t, err := l.follow(name, f, false, false)
		if err != nil {
			continue // another lane follows it since, or reads what it is a copy of
		}
		t.gone = l.agent.Clock.Now()
		found = append(found, t)
	}
	slices.SortFunc(found, func(a, b *tail) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	return found
}

// copied says that a file that was cut has a copy with all that was read of it: a line that it has no end of is read there.
func (l *lane) copied(t *tail) bool {
	if !t.gone.IsZero() { // then nobody looks for the copy
		return false
	}
	marks := []mark{{Head: len(t.head), Hash: hashOf(t.head), Offset: t.framer.pos}}
	return slices.ContainsFunc(beside(l.path), func(name string) bool {
		f := l.unsent(name, marks)
		return f != nil && f.Close() == nil
	})
}

// unsent opens the file of a name if it is one of marks, nobody follows it, and something of it may not be sent; else it returns nil.
func (l *lane) unsent(name string, marks []mark) source {
	f, info := l.agent.fits(name, marks)
	if f == nil {
		return nil
	}
	l.agent.mu.Lock()
	followed := l.agent.openLocked(info)
	l.agent.mu.Unlock()
	if followed {
		_ = f.Close() // nothing was written
		return nil
	}
	return f
}

// fits opens the file of a name if it begins as that of one of marks and goes on at least to where it was sent, or beyond if no more was expected
// of it; else it returns nil.
func (a *Agent) fits(name string, marks []mark) (source, os.FileInfo) {
	f, err := openSource(name)
	if err != nil {
		return nil, nil
	}
	head, err := headOf(f)
	marks = slices.DeleteFunc(slices.Clone(marks), func(m mark) bool { return !m.knows(head) || m.Ended && isGzip(name) })
	if err == nil && len(marks) > 0 {
		info, err := f.Stat() // only now: of a compressed file it takes reading it
		if err == nil && slices.ContainsFunc(marks, func(m mark) bool { return info.Size() > m.Offset || info.Size() == m.Offset && !m.Ended }) {
			return f, info
		}
		if err != nil {
			a.Logger.Warn("file not opened", "path", name, "error", err)
		}
	}
	_ = f.Close() // nothing was written
	return nil, nil
}

// reportLost says once of each file that was not sent to its end, as far as anybody knew, that it is not found again: it was removed, or renamed to
// another place, or cut, or compressed in a way that is not read.
func (a *Agent) reportLost() {
	lost := a.marks.lost(func(m mark) bool {
		if !a.matches(m.Path) {
			return true // perhaps: nobody looks
		}
		return slices.ContainsFunc(append(beside(m.Path), m.Path), func(name string) bool {
			f, _ := a.fits(name, []mark{m})
			return f != nil && f.Close() == nil
		})
	})
	for _, m := range lost {
		a.Logger.Warn("file is not found again: what was written to it behind the offset is not sent", "path", m.Path, "offset", m.Offset)
	}
}

// matches says that a path is one of the files to follow.
func (a *Agent) matches(path string) bool {
	return slices.ContainsFunc(a.cfg.Files, func(pattern string) bool {
		ok, err := filepath.Match(filepath.Clean(pattern), path)
		return ok && err == nil
	})
}

// beside returns the files whose names begin as a path does: that is where rotation puts the file that was there.
func beside(path string) []string {
	names, err := filepath.Glob(escapeGlob(path) + "?*")
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || !info.Mode().IsRegular() || isCompressed(name) && !isGzip(name)
	})
}

// escapeGlob makes a pattern that matches path only.
func escapeGlob(path string) string {
	if filepath.Separator == '\\' {
		return path // patterns have no escape there
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
