package engine

import (
	"sort"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// shard is one ordered sequence. What writers see runs ahead of what readers see by the groups that are not durable yet.
type shard struct {
	id stream.Shard

	// Guarded by Engine.mu: the writer's side.
	next      stream.Offset    // the next batch's base
	producers *producers.Table // nil until the first idempotent producer
	gone      bool             // the stream's deletion is under way

	// Guarded by Engine.view: the reader's side.
	stream   *stream.Stream // as it is now
	start    stream.Offset
	end      stream.Offset
	clean    stream.Offset // what is before it was compacted, and lies in files of its own (compact_state.go); 0: nothing
	bytes    int64
	passes   int64             // Bounds.Compactions
	epochs   []epochStart      // ascending; those with batches between start and end
	spans    []*span           // ascending; those of log files one per file, contiguous from the larger of start and clean to end
	open     []openTransaction // by first offset
	aborts   bool              // one of the spans has, or had, aborted transactions
	watchers []*watched

	kept *kept // guarded by Engine.admin: where retention stopped last; nil if it did not yet
}

// kept is the first batch that retention leaves, and the offset that the shard begins with then.
type kept struct {
	start stream.Offset
	first format.Extent
}

// epochStart says at which offset a leader epoch began to write.
type epochStart struct {
	epoch int32
	start stream.Offset
}

// span is a shard's part of one file. Its index is in memory while the file is not finished; afterwards the index cache loads it.
type span struct {
	format.Span
	shard   *shard
	file    *logFile
	extents []format.Extent  // nil if the index is on disk only
	aborted []stream.Aborted // nil if there are none, or the index is on disk only
	cut     stream.Offset    // guarded by Engine.view: batches before it are dead, they were compacted into another file
	gone    int64            // guarded by Engine.view: bytes of batches before cut that the file does not count as live any more
	lost    bool             // guarded by Engine.mending: the index is damaged, and the file's groups do not give it
}

func (s *shard) bounds(epoch int32) stream.Bounds {
	return stream.Bounds{Start: s.start, End: s.end, LastStable: s.stable(), Epoch: epoch, Bytes: s.bytes, Compactions: s.passes}
}

// add puts a batch that lies in file behind everything the shard has; it is the only way into the index.
func (s *shard) add(file *logFile, x format.Extent, next stream.Offset) {
	n := len(s.spans)
	if n == 0 || s.spans[n-1].file != file {
		sp := newSpan(s, file, &x)
		s.spans = append(s.spans, sp)
		file.spans = append(file.spans, sp)
		n++
	}
	s.spans[n-1].add(x, next)
	file.extents++
	file.live += int64(x.Size)
}

// newSpan returns a span for which first is the first extent to add.
func newSpan(s *shard, file *logFile, first *format.Extent) *span {
	return &span{shard: s, file: file, Span: format.Span{Shard: s.id, First: first.Base, Latest: first.Latest, Age: first.Age(), Oldest: first.Age()}}
}

func (sp *span) add(x format.Extent, next stream.Offset) {
	sp.extents = append(sp.extents, x)
	sp.Count++
	sp.Next = next
	sp.Latest = max(sp.Latest, x.Latest)
	sp.Age = max(sp.Age, x.Age())
	sp.Bytes += int64(x.Size)
}

// epochAt returns the leader epoch under which the record at offset was written.
func (s *shard) epochAt(offset stream.Offset) int32 {
	i := sort.Search(len(s.epochs), func(i int) bool { return s.epochs[i].start > offset })
	if i == 0 {
		return -1
	}
	return s.epochs[i-1].epoch
}

// hasEpoch says whether a batch at base can have that leader epoch. Of what was trimmed meanwhile nothing is known any more.
func (e *Engine) hasEpoch(s *shard, base stream.Offset, epoch int32) bool {
	e.view.RLock()
	defer e.view.RUnlock()
	return base < s.start || s.epochAt(base) == epoch
}

// grew notes that the shard has grown from base to next under epoch.
func (s *shard) grew(base, next stream.Offset, epoch int32, bytes int64) {
	if n := len(s.epochs); n == 0 || s.epochs[n-1].epoch < epoch {
		s.epochs = append(s.epochs, epochStart{epoch, base})
	}
	s.end = next
	s.bytes += bytes
}

// trim makes start the first readable offset, gives up freed bytes, and returns the spans that are now dead.
func (s *shard) trim(start stream.Offset, freed int64) []*span {
	s.start = max(s.start, start)
	s.bytes -= freed
	n := 0
	for n < len(s.spans) && s.spans[n].Next <= s.start {
		n++
	}
	dead := s.spans[:n:n]
	s.spans = append([]*span(nil), s.spans[n:]...) // readers may hold the old slice
	i := 0
	for i+1 < len(s.epochs) && s.epochs[i+1].start <= s.start {
		i++
	}
	s.epochs = append([]epochStart(nil), s.epochs[i:]...)
	if len(s.epochs) > 0 {
		s.epochs[0].start = max(s.epochs[0].start, s.start)
	}
	return dead
}

// spanAt returns the index of the span that holds offset, or the first one behind it.
func (s *shard) spanAt(offset stream.Offset) int {
	return sort.Search(len(s.spans), func(i int) bool { return s.spans[i].Next > offset })
}

// firstLive returns the index of the first extent that is live: not before cut, and not wholly before start, so far as extents tell.
func firstLive(extents []format.Extent, start, cut stream.Offset) int {
	i := extentAt(extents, max(start, cut))
	if i < len(extents) && extents[i].Base < cut {
		i++
	}
	return i
}

// extentAt returns the index of the extent that holds offset; extents[0].Base must not be larger.
func extentAt(extents []format.Extent, offset stream.Offset) int {
	return max(0, sort.Search(len(extents), func(i int) bool { return extents[i].Base > offset })-1)
}
