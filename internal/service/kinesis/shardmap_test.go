package kinesis

import (
	"math/rand/v2"
	"testing"

	"github.com/freshet/freshet/internal/stream"
)

// covered fails the test unless the open shards divide the key space: every key has one owner, the one whose range holds it.
func covered(t *testing.T, m *shardMap) {
	t.Helper()
	next := hashKey{}
	for i, index := range m.open {
		sh := &m.all[index]
		if sh.hash.first != next {
			t.Errorf("open shard %d begins at %s, the one before ended below %s", index, sh.hash.first, next)
		}
		if last := i == len(m.open)-1; last != (sh.hash.last == maxHashKey) {
			t.Errorf("open shard %d ends at %s", index, sh.hash.last)
		}
		for _, k := range []hashKey{sh.hash.first, sh.hash.last} {
			if owner := m.owner(k); owner != sh {
				t.Errorf("%s belongs to shard %d, want %d", k, owner.index, index)
			}
		}
		next = hashKey{sh.hash.last.hi, sh.hash.last.lo + 1}
		if next.lo == 0 {
			next.hi++
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		k := hashKey{random.Uint64(), random.Uint64()}
		if sh := m.owner(k); k.less(sh.hash.first) || sh.hash.last.less(k) {
			t.Errorf("%s belongs to %s..%s", k, sh.hash.first, sh.hash.last)
		}
	}
}

func TestShardMapCoversTheKeySpace(t *testing.T) {
	r := newRig(t)
	r.create("even", 7)
	r.create("split", 2)
	r.reshard("split")
	r.create("grown", 2)
	r.reshard("grown")
	st, err := r.log.Stream(t.Context(), "grown")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.log.Alter(t.Context(), st.ID, stream.Change{Shards: new(int32(6))}); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[stream.Name]int{"even": 7, "split": 3, "grown": 5} {
		v, err := r.find(t.Context(), r.call, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.shards.open) != open {
			t.Errorf("%s has %d open shards, want %d", name, len(v.shards.open), open)
		}
		covered(t, v.shards)
	}
}

func TestShardMapRefusesContradictions(t *testing.T) {
	open := shardSetting{First: "0", Last: maxHashKey.String()}
	closed := shardSetting{First: "0", Last: maxHashKey.String(), Closed: 1}
	for name, listed := range map[string][]shardSetting{
		"more shards than the log": {open, open},
		"none open":                {closed},
		"no range":                 {{First: "x", Last: "1"}},
	} {
		if _, err := newShardMap(&stream.Stream{Shards: 1}, listed, 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseShardID(t *testing.T) {
	for id, want := range map[string]int32{"shardId-000000000012": 12, "12": 12, "x-7": 7, "0": 0, "": -1, "a-b": -1, "shardId-": -1, "shardId-4294967296": -1, "-5": 5, "1-2-3": -1} {
		if got, ok := parseShardID(id); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %v", id, got, ok)
		}
	}
}
