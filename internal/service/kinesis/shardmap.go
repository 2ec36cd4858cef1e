package kinesis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

// shard is one shard as Kinesis sees it.
type shard struct {
	index            int32
	id               string
	hash             hashRange
	parent, adjacent int32 // -1 = none
	created          time.Time
	numbered         int64         // the second that its sequence numbers say it was made in: that of created, or later
	closed           time.Time     // zero = open
	end              stream.Offset // of a closed shard
}

func (s *shard) open() bool { return s.closed.IsZero() }

// at returns the number of a reader's position in the shard, or of the record before it: see sequence.
func (s *shard) at(next stream.Offset, arrived int64) sequence {
	return sequence{created: s.numbered, index: uint64(next), arrived: arrived, shard: s.index}
}

func (s *shard) startingNumber() sequence { return s.at(0, s.created.Unix()) }

// shardMap is all shards of a stream, and how its key space is divided among the open ones. It is immutable but for turn.
type shardMap struct {
	all  []shard
	open []int32       // indexes of the open shards in order of their ranges
	from []hashKey     // where each of them begins
	turn atomic.Uint64 // of AUTO distribution: the next open shard
}

// newShardMap makes the map of a stream. Without listed shards the key space is divided evenly. Shards that the log has beyond the listed
// ones were added through Kafka, where keys move when a topic grows: then, too, all open shards divide the key space evenly, so that it
// stays covered once and the new shards are written to and read. numbersFrom is settings.NumbersFrom.
func newShardMap(st *stream.Stream, listed []shardSetting, numbersFrom int64) (*shardMap, error) {
	if int(st.Shards) < len(listed) {
		return nil, fmt.Errorf("%d shards are listed, the log has %d", len(listed), st.Shards)
	}
	m := &shardMap{all: make([]shard, st.Shards)}
	for i := range m.all {
		m.all[i] = shard{index: int32(i), id: shardID(int32(i)), parent: -1, adjacent: -1, created: st.Created}
		if i < len(listed) {
			if err := m.all[i].set(&listed[i]); err != nil {
				return nil, fmt.Errorf("shard %d: %w", i, err)
			}
		}
		m.all[i].numbered = max(m.all[i].created.Unix(), numbersFrom)
		if m.all[i].open() {
			m.open = append(m.open, int32(i))
		}
	}
	if len(m.open) == 0 {
		return nil, fmt.Errorf("all %d shards are closed", st.Shards)
	}
	if int(st.Shards) > len(listed) {
		for i, r := range evenRanges(len(m.open)) {
			m.all[m.open[i]].hash = r
		}
	}
	slices.SortFunc(m.open, func(a, b int32) int {
		switch x, y := m.all[a].hash.first, m.all[b].hash.first; {
		case x.less(y):
			return -1
		case y.less(x):
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, i := range m.open {
		m.from = append(m.from, m.all[i].hash.first)
	}
	return m, nil
}

func (s *shard) set(from *shardSetting) error {
	var first, last bool
	s.hash.first, first = parseHashKey(from.First)
	s.hash.last, last = parseHashKey(from.Last)
	if !first || !last {
		return fmt.Errorf("hash range %q to %q", from.First, from.Last)
	}
	if from.Parent != nil {
		s.parent = *from.Parent
	}
	if from.Adjacent != nil {
		s.adjacent = *from.Adjacent
	}
	s.created, s.end = time.UnixMilli(from.Created), from.End
	if from.Closed != 0 {
		s.closed = time.UnixMilli(from.Closed)
	}
	return nil
}

// owner returns the open shard whose range holds k.
func (m *shardMap) owner(k hashKey) *shard {
	i := sort.Search(len(m.from), func(i int) bool { return k.less(m.from[i]) })
	return &m.all[m.open[max(i-1, 0)]]
}

// children returns the shards that took over from a closed one.
func (m *shardMap) children(of int32) []*shard {
	var found []*shard
	for i := range m.all {
		if s := &m.all[i]; s.parent == of || s.adjacent == of {
			found = append(found, s)
		}
	}
	return found
}

// listed returns the shards that are still shown: a closed one goes when all its records have passed retention.
func (m *shardMap) listed(now time.Time, retention time.Duration) []*shard {
	shown := make([]*shard, 0, len(m.all))
	for i := range m.all {
		if s := &m.all[i]; s.open() || retention < 0 || !s.closed.Add(retention).Before(now) {
			shown = append(shown, s)
		}
	}
	return shown
}

// shardID is the name of shard i.
func shardID(i int32) string { return fmt.Sprintf("shardId-%012d", i) }

// parseShardID reads a shard's index. As AWS does, it accepts any prefix up to the first dash, or none.
func parseShardID(id string) (int32, bool) {
	if _, digits, found := strings.Cut(id, "-"); found {
		id = digits
	}
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return 0, false
	}
	i, err := strconv.ParseInt(id, 10, 64)
	if err != nil || i > math.MaxInt32 {
		return 0, false
	}
	return int32(i), true
}

// describe returns the shard in the API's form. A parent that is no longer shown is still named, as AWS does.
func (s *shard) describe() api.Shard {
	d := api.Shard{
		ShardId:             &s.id,
		HashKeyRange:        s.hash.describe(),
		SequenceNumberRange: &api.SequenceNumberRange{StartingSequenceNumber: new(s.startingNumber().String())},
	}
	if s.parent >= 0 {
		d.ParentShardId = new(shardID(s.parent))
	}
	if s.adjacent >= 0 {
		d.AdjacentParentShardId = new(shardID(s.adjacent))
	}
	if !s.open() {
		d.SequenceNumberRange.EndingSequenceNumber = new(s.at(closedIndex, s.closed.Unix()).String())
	}
	return d
}

func (r hashRange) describe() *api.HashKeyRange {
	return &api.HashKeyRange{StartingHashKey: new(r.first.String()), EndingHashKey: new(r.last.String())}
}

// describeChild returns the shard as readers of its closed parents are told of it.
func (s *shard) describeChild() api.ChildShard {
	parents := []string{shardID(s.parent)}
	if s.adjacent >= 0 {
		parents = append(parents, shardID(s.adjacent))
	}
	return api.ChildShard{ShardId: &s.id, ParentShards: parents, HashKeyRange: s.hash.describe()}
}
