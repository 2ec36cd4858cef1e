package format

// GroupHeaderSize is the size of a GroupHeader in bytes.
const GroupHeaderSize = 48

// Align is what position and size of a group are multiples of: a direct write covers whole pages, and no write touches a page of a group
// that is durable already.
const Align = 4096

// FirstGroup is where in a file its first group begins.
const FirstGroup = Align

// MaxGroupBytes bounds what a decoder believes of a group's size.
const MaxGroupBytes = 1 << 30

const groupMagic = 0x70757267 // "grup"

// GroupHeader begins a group. The payloads follow it, then the table of their entries, then zeros up to a multiple of Align:
//
//	 0 magic u32 | 4 sum u32 (of bytes 8 to 48, then of the table)
//	 8 file u64 | 16 number u64 | 24 synced u64 | 32 previous u32 | 36 payload u32 | 40 entries u32 | 44 zero u32
//	48 payload bytes of payloads, in the table's order, without gaps
//	.. entries x Entry
//
// The table comes last because the payloads are written while the group is still open to more of them.
type GroupHeader struct {
	File     uint64 // id of the file
	Number   uint64 // +1 with each group of the log, across files
	Synced   uint64 // the last group that was known to be on the disk when this one was written
	Previous uint32 // Sum of the group before, or of the file header
	Payload  uint32 // bytes
	Entries  uint32
	Sum      uint32
}

// GroupSize returns how many bytes a group has on disk.
func GroupSize(payload, entries int) int {
	return (GroupHeaderSize + payload + EntrySize*entries + Align - 1) / Align * Align
}

// Size returns how many bytes the group has on disk.
func (h *GroupHeader) Size() int { return GroupSize(int(h.Payload), int(h.Entries)) }

// Seal writes the header into the group that b is, with its payloads and table in place, and returns its sum.
func (h *GroupHeader) Seal(b []byte) uint32 {
	le.PutUint32(b, groupMagic)
	le.PutUint64(b[8:], h.File)
	le.PutUint64(b[16:], h.Number)
	le.PutUint64(b[24:], h.Synced)
	le.PutUint32(b[32:], h.Previous)
	le.PutUint32(b[36:], h.Payload)
	le.PutUint32(b[40:], h.Entries)
	le.PutUint32(b[44:], 0)
	h.Sum = h.sum(b)
	le.PutUint32(b[4:], h.Sum)
	return h.Sum
}

func (h *GroupHeader) sum(b []byte) uint32 {
	table := GroupHeaderSize + int(h.Payload)
	return updateSum(Sum(b[8:GroupHeaderSize]), b[table:table+EntrySize*int(h.Entries)])
}

// ReadGroupHeader reads a header of the file with that id, without the means to check its sum. ok is false if b does not begin a group of the file.
func ReadGroupHeader(b []byte, file uint64) (h GroupHeader, ok bool) {
	if len(b) < GroupHeaderSize || le.Uint32(b) != groupMagic || le.Uint64(b[8:]) != file {
		return h, false
	}
	h = GroupHeader{
		File:     file,
		Number:   le.Uint64(b[16:]),
		Synced:   le.Uint64(b[24:]),
		Previous: le.Uint32(b[32:]),
		Payload:  le.Uint32(b[36:]),
		Entries:  le.Uint32(b[40:]),
		Sum:      le.Uint32(b[4:]),
	}
	plausible := h.Payload <= MaxGroupBytes && h.Entries <= MaxGroupBytes/EntrySize && h.Size() <= MaxGroupBytes
	return h, plausible && le.Uint32(b[44:]) == 0
}

// Group is a whole group read back.
type Group struct {
	GroupHeader
	payloads []byte
	table    []byte
}

// ReadGroup reads the group that b begins with and checks header and table, not the payloads. ok is false if there is none, or not all of it.
func ReadGroup(b []byte, file uint64) (g Group, ok bool) {
	h, ok := ReadGroupHeader(b, file)
	if !ok || h.Size() > len(b) || h.sum(b) != h.Sum {
		return Group{}, false
	}
	table := GroupHeaderSize + int(h.Payload)
	g = Group{GroupHeader: h, payloads: b[GroupHeaderSize:table], table: b[table : table+EntrySize*int(h.Entries)]}
	left := uint64(h.Payload)
	for i := range int(h.Entries) {
		size := uint64(ReadEntry(g.table[i*EntrySize:]).Size)
		if size > left {
			return Group{}, false
		}
		left -= size
	}
	return g, left == 0
}

// Each calls visit with the entries in order: their payload, which shares memory with the group, and where it begins in the group. It ends
// with visit's first error.
func (g *Group) Each(visit func(e Entry, payload []byte, at int) error) error {
	at := 0
	for i := range int(g.Entries) {
		e := ReadEntry(g.table[i*EntrySize:])
		if err := visit(e, g.payloads[at:at+int(e.Size)], GroupHeaderSize+at); err != nil {
			return err
		}
		at += int(e.Size)
	}
	return nil
}
