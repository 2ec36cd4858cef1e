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
		if !l.unsent(name, marks) {
			continue
		}
		t, err := l.open(name, false, false)
		if err != nil {
			continue
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
	m := mark{Head: len(t.head), Hash: hashOf(t.head), Offset: t.framer.pos - 1}
	return slices.ContainsFunc(beside(l.path), func(name string) bool { return l.unsent(name, []mark{m}) })
}

// beside returns the files whose names begin as a path does: that is where rotation puts the file that was there.
func beside(path string) []string {
	names, err := filepath.Glob(escapeGlob(path) + "?*")
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || !info.Mode().IsRegular() || slices.Contains(compressed, strings.ToLower(filepath.Ext(name)))
	})
}

// unsent says that the file of a name is one of marks, nobody follows it, and there is more in it than was sent.
func (l *lane) unsent(name string, marks []mark) bool {
	f, err := os.Open(name) //nolint:gosec // beside a file that the user named
	if err != nil {
		return false
	}
	info, head, err := look(f)
	if f.Close() != nil || err != nil {
		return false
	}
	l.agent.mu.Lock()
	followed := l.agent.openLocked(info)
	l.agent.mu.Unlock()
	return !followed && slices.ContainsFunc(marks, func(m mark) bool { return m.knows(head) && info.Size() > m.Offset })
}

// escapeGlob makes a pattern that matches path only.
func escapeGlob(path string) string {
	if filepath.Separator == '\\' {
		return path // patterns have no escape there
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
