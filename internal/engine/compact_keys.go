package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/freshet/freshet/internal/stream"
)

// keyMap knows of the keys of a part of a shard where each was written last. Keys are known by 128 bits of their SHA-256: two that agree in those
// would be taken for one, and nobody can make such two.
type keyMap struct {
	slots []keySlot
	used  int
}

type keySlot struct {
	hash [2]uint64
	at   int64 // the offset + 1; 0: the slot is free
}

// keySlotSize is the size of a keySlot in bytes, keysInSlots the part of the slots that may be used: beyond it looking for a free one takes long.
const (
	keySlotSize = 24
	keysOfSlots = 0.8
)

// reset empties the map and makes it large enough for so many keys, or as large as it may be.
func (m *keyMap) reset(keys, maxBytes int64) {
	n := min(int64(float64(keys)/keysOfSlots)+8, max(maxBytes/keySlotSize, 8))
	m.used = 0
	if int64(cap(m.slots)) < n {
		m.slots = make([]keySlot, n)
		return
	}
	m.slots = m.slots[:n]
	clear(m.slots)
}

// room returns how many more keys the map takes.
func (m *keyMap) room() int { return int(float64(len(m.slots))*keysOfSlots) - m.used }

func hashKey(key []byte) [2]uint64 {
	h := sha256.Sum256(key)
	return [2]uint64{binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:])}
}

// slot returns the slot of a key, or the free one where it belongs. There is always one that is free.
func (m *keyMap) slot(hash [2]uint64) *keySlot {
	at, _ := bits.Mul64(hash[0], uint64(len(m.slots)))
	for {
		s := &m.slots[at]
		if s.at == 0 || s.hash == hash {
			return s
		}
		if at++; at == uint64(len(m.slots)) {
			at = 0
		}
	}
}

// put notes that a key was written at an offset; later ones come later. A key for which there is no room is not noted.
func (m *keyMap) put(key []byte, at stream.Offset) {
	hash := hashKey(key)
	s := m.slot(hash)
	if s.at == 0 {
		if m.room() <= 0 {
			return
		}
		s.hash = hash
		m.used++
	}
	s.at = int64(at) + 1
}

// last returns where a key was written last, and whether it was.
func (m *keyMap) last(key []byte) (stream.Offset, bool) {
	s := m.slot(hashKey(key))
	return stream.Offset(s.at - 1), s.at != 0
}
