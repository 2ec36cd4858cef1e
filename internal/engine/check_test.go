package engine

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestCheckNamesStrayFiles: what is among the log files and none of them is named, and no damage.
func TestCheckNamesStrayFiles(t *testing.T) {
	disk, c, _ := filled(t, true)
	for _, name := range []string{"notes.txt", "00000000000000ff.log.bak", "1.log", ".DS_Store", nextName, rewriteTmp, spareName} {
		path := filepath.Join(c.Dir, logDir, name)
		_ = disk.Remove(path) // it may be there
		f, err := disk.Create(path)
		must(t, err)
		must(t, f.Close())
	}
	r, err := Check(disk, c.Dir)
	must(t, err)
	want := []string{filepath.Join(logDir, "00000000000000ff.log.bak"), filepath.Join(logDir, "1.log"), filepath.Join(logDir, "notes.txt")}
	if !slices.Equal(r.Stray, want) || len(r.Damage) > 0 {
		t.Errorf("stray %q, damage %v", r.Stray, r.Damage)
	}
	must(t, mustOpen(t, c).Close())
}
