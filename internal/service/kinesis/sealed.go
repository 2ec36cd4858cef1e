package kinesis

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// A sealed token is a position handed to a client who brings it back: a shard iterator or a NextToken. The service keeps nothing about it;
// the token says everything, and nobody else can make or change one. It is base64 (standard alphabet, padded) of
//
//	0 00 00 00 00 00 00 00 01 | 8 purpose u8 | 9 issued i64 (ms since 1970) | 17 nonce u64 | 25 body, zeros up to 16 n + 8 | HMAC-SHA256 32
//
// The eight bytes in front are those of real iterators, and so is the granularity of the length.
const (
	sealedHeader  = 25
	sealedBlock   = 16
	minSealed     = 152 // decoded bytes, the least that real iterators have
	maxSealed     = 384 // decoded bytes: 512 characters
	sealingKeyLen = 32
)

var sealedMagic = []byte{0, 0, 0, 0, 0, 0, 0, 1}

// purpose keeps tokens of one kind from being taken for another.
type purpose byte

const (
	shardIterator purpose = 1 + iota
	shardsToken
	streamsToken
	consumersToken
)

var errSeal = errors.New("token was not made here")

// sealer makes and opens sealed tokens.
type sealer struct {
	macs   sync.Pool     // of hash.Hash under the key
	nonces atomic.Uint64 // no two tokens of a process are equal
}

// sealingKey is the document of the key: random bytes, drawn once per data directory so that tokens survive a restart.
var sealingKey = state.Key{Kind: "kinesis-secret", ID: "sealing-key"}

// newSealer reads the key from the store, or puts one there that is drawn from random.
func newSealer(ctx context.Context, store state.Store, random io.Reader) (*sealer, error) {
	document, err := store.Get(ctx, sealingKey)
	if errors.Is(err, state.ErrNotFound) {
		key := make([]byte, sealingKeyLen)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, fmt.Errorf("draw sealing key: %w", err)
		}
		if _, err := store.Apply(ctx, state.Change{Key: sealingKey, If: state.Absent, Value: key}); err != nil && !errors.Is(err, state.ErrConflict) {
			return nil, fmt.Errorf("keep sealing key: %w", err)
		}
		document, err = store.Get(ctx, sealingKey) // of several nodes that start at once, one has won
	}
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	if len(document.Value) != sealingKeyLen {
		return nil, fmt.Errorf("sealing key has %d bytes, want %d", len(document.Value), sealingKeyLen)
	}
	key := bytes.Clone(document.Value)
	s := &sealer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
	var start [8]byte
	if _, err := io.ReadFull(random, start[:]); err != nil {
		return nil, fmt.Errorf("draw first nonce: %w", err)
	}
	s.nonces.Store(binary.BigEndian.Uint64(start[:]))
	return s, nil
}

// seal makes a token of body, which must fit maxSealed.
func (s *sealer) seal(p purpose, issued time.Time, body []byte) string {
	var buf [maxSealed]byte
	b := append(buf[:0], sealedMagic...)
	b = append(b, byte(p))
	b = binary.BigEndian.AppendUint64(b, uint64(issued.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, s.nonces.Add(1))
	b = append(b, body...)
	size := max(len(b)+sha256.Size, minSealed)
	size += (sealedBlock - (size-len(sealedMagic))%sealedBlock) % sealedBlock
	if size > maxSealed {
		panic(fmt.Sprintf("kinesis: token of %d bytes", size))
	}
	b = b[:size-sha256.Size]
	b = s.sum(b, b)
	return base64.StdEncoding.EncodeToString(b)
}

func (s *sealer) sum(dst, b []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	return mac.Sum(dst)
}

// open returns when a token was issued and its body, which is followed by zeros. errSeal for anything that seal did not make for purpose p.
func (s *sealer) open(p purpose, token string) (issued time.Time, body []byte, err error) {
	if strings.ContainsAny(token, "\r\n") { // which the decoder passes over
		return time.Time{}, nil, errSeal
	}
	b, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < minSealed || len(b) > maxSealed || !bytes.HasPrefix(b, sealedMagic) {
		return time.Time{}, nil, errSeal
	}
	signed, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(mac, s.sum(nil, signed)) || purpose(b[len(sealedMagic)]) != p {
		return time.Time{}, nil, errSeal
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[9:]))), signed[sealedHeader:], nil
}

// iterator is the body of a shard iterator.
//
//	0 stream id 16 | 16 shard u32 | 20 next offset i64 | 28 name length u8 | 29 name
//
// The id pins one life of the stream: an iterator into a stream that was deleted does not read its successor of the same name. The name
// is for the error message.
type iterator struct {
	shard stream.Shard
	next  stream.Offset
	name  stream.Name
}

func (s *sealer) sealIterator(issued time.Time, it iterator) string {
	var buf [maxSealed]byte
	b := append(buf[:0], it.shard.Stream[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(it.shard.Index))
	b = binary.BigEndian.AppendUint64(b, uint64(it.next))
	b = append(b, byte(len(it.name)))
	b = append(b, it.name...)
	return s.seal(shardIterator, issued, b)
}

// openIterator takes an iterator apart. One in literal double quotes is accepted, as AWS does.
func (s *sealer) openIterator(token string) (issued time.Time, it iterator, err error) {
	if n := len(token); n >= 2 && token[0] == '"' && token[n-1] == '"' {
		token = token[1 : n-1]
	}
	issued, b, err := s.open(shardIterator, token)
	if err != nil {
		return issued, it, err
	}
	if len(b) < 29 || len(b) < 29+int(b[28]) {
		return issued, it, errSeal
	}
	it.shard.Stream = stream.ID(b[:16])
	it.shard.Index = int32(binary.BigEndian.Uint32(b[16:]))
	it.next = stream.Offset(binary.BigEndian.Uint64(b[20:]))
	it.name = stream.Name(b[29 : 29+int(b[28])])
	return issued, it, nil
}
