package format

// CheckpointHeaderSize is the size of a CheckpointHeader in bytes.
const CheckpointHeaderSize = 80

const checkpointMagic = "freshchk"

// CheckpointHeader begins a checkpoint: everything the log knew, batches apart, behind a certain group. The entries follow it:
//
//	 0 "freshchk" | 8 version u32 | 12 sum u32 (of the header with these four bytes zero)
//	16 number u64 | 24 file u64 | 32 position u64 | 40 group u64 | 48 group sum u32 | 52 closed u32 | 56 size u64 | 64 body sum u32 | 68 zero [12]
//	80 entries: kind u8 | size u32 | size bytes
type CheckpointHeader struct {
	Number   uint64
	File     uint64 // number of the log file that goes on from here
	Position int64  // where in it
	Group    uint64 // number of the last group taken into account
	GroupSum uint32 // its sum, or that of the file's header
	Closed   bool   // the log was closed in order: nothing was being written, so every group before Position is whole
	Size     uint64 // of the entries in bytes
	BodySum  uint32
}

// AppendCheckpointEntry appends one entry to the body of a checkpoint.
func AppendCheckpointEntry(body []byte, kind Kind, payload []byte) []byte {
	body = append(body, byte(kind))
	body = le.AppendUint32(body, uint32(len(payload)))
	return append(body, payload...)
}

// Append appends the header's bytes to dst, with size and sum of body.
func (h *CheckpointHeader) Append(dst, body []byte) []byte {
	h.Size, h.BodySum = uint64(len(body)), Sum(body)
	var b [CheckpointHeaderSize]byte
	copy(b[:], checkpointMagic)
	le.PutUint32(b[8:], Version)
	le.PutUint64(b[16:], h.Number)
	le.PutUint64(b[24:], h.File)
	le.PutUint64(b[32:], uint64(h.Position))
	le.PutUint64(b[40:], h.Group)
	le.PutUint32(b[48:], h.GroupSum)
	if h.Closed {
		b[52] = 1
	}
	le.PutUint64(b[56:], h.Size)
	le.PutUint32(b[64:], h.BodySum)
	le.PutUint32(b[12:], Sum(b[:]))
	return append(dst, b[:]...)
}

// ReadCheckpoint checks a whole checkpoint and calls visit with its entries, whose payloads share memory with b. It returns how many bytes
// of b were right if not all of them are.
func ReadCheckpoint(b []byte, visit func(kind Kind, payload []byte) error) (h CheckpointHeader, at int, err error) {
	if len(b) < CheckpointHeaderSize || string(b[:8]) != checkpointMagic {
		return h, 0, wrong("no checkpoint header")
	}
	if err := checkSealed(b[:CheckpointHeaderSize], Version, "checkpoint header"); err != nil {
		return h, 0, err
	}
	h = CheckpointHeader{
		Number:   le.Uint64(b[16:]),
		File:     le.Uint64(b[24:]),
		Position: int64(le.Uint64(b[32:])),
		Group:    le.Uint64(b[40:]),
		GroupSum: le.Uint32(b[48:]),
		Closed:   b[52] != 0,
		Size:     le.Uint64(b[56:]),
		BodySum:  le.Uint32(b[64:]),
	}
	body := b[CheckpointHeaderSize:]
	if h.Size != uint64(len(body)) || Sum(body) != h.BodySum {
		return h, CheckpointHeaderSize, wrong("checkpoint of %d bytes with checksum %08x has %d with %08x", h.Size, h.BodySum, len(body), Sum(body))
	}
	for at = CheckpointHeaderSize; at < len(b); {
		rest := b[at:]
		if len(rest) < 5 || uint64(le.Uint32(rest[1:])) > uint64(len(rest)-5) {
			return h, at, wrong("entry reaches beyond the checkpoint")
		}
		size := int(le.Uint32(rest[1:]))
		if err := visit(Kind(rest[0]), rest[5:5+size]); err != nil {
			return h, at, err
		}
		at += 5 + size
	}
	return h, at, nil
}
