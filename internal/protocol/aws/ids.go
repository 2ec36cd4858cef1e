package aws

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"sync"
)

// ids makes request ids. They are unique and need not be unguessable, so they come from a generator that was seeded once.
type ids struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func newIDs(random io.Reader) (*ids, error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, err
	}
	return &ids{source: rand.NewChaCha8(seed)}, nil
}

// requestID returns a random UUID.
func (g *ids) requestID() string {
	var b [16]byte
	g.mu.Lock()
	binary.LittleEndian.PutUint64(b[:8], g.source.Uint64())
	binary.LittleEndian.PutUint64(b[8:], g.source.Uint64())
	g.mu.Unlock()
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// extendedID returns the second id that AWS answers, 72 bytes in base64.
func (g *ids) extendedID() string {
	var b [72]byte
	g.mu.Lock()
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], g.source.Uint64())
	}
	g.mu.Unlock()
	return base64.StdEncoding.EncodeToString(b[:])
}
