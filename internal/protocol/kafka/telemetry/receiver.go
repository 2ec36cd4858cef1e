package telemetry

import (
	"container/list"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// ID names a run of a client: 16 random bytes that the receiver gives out.
type ID [16]byte

// String returns the id as Kafka writes it, in base64url.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// reserved are ids that name nothing in Kafka: all zeros, and 1.
func (id ID) reserved() bool { return id == ID{} || id == ID{15: 1} }

// Client is who asks.
type Client struct {
	ClientID                string
	Software, Version       string // as ApiVersions says, or ""
	SourceAddress, SourceIP string // host and port; host
	// Connection is the same value for all requests of a connection, and no other's.
	Connection any
}

func (c *Client) attribute(name string, id ID) (value string, known bool) {
	switch name {
	case clientInstanceID:
		return id.String(), true
	case clientID:
		return c.ClientID, true
	case softwareName:
		return c.Software, c.Software != ""
	case softwareVersion:
		return c.Version, c.Version != ""
	case sourceAddress:
		return c.SourceIP, true
	default: // sourcePort
		at := strings.LastIndexByte(c.SourceAddress, ':')
		return c.SourceAddress[at+1:], at >= 0
	}
}

// Config bounds a Receiver; zero values mean the defaults.
type Config struct {
	MaxInstances int // clients whose requests are remembered, the latest
	MaxBytes     int // of what a client pushes at once, compressed
	MaxPlain     int // of the same, plain

	Board   *Board // what shows it; nil: a board that nobody sees
	Cluster string // which one the clients are of, on the board
}

// The defaults of Config, as Apache Kafka's (telemetry.max.bytes) where it has them.
const (
	DefaultMaxInstances = 16384
	DefaultMaxBytes     = 1 << 20
	DefaultMaxPlain     = 8 << 20
)

// idleExpiry is how long a client is remembered at least, and three of its intervals.
const idleExpiry = time.Minute

// Codecs are those that clients may compress by, the best first.
var Codecs = []int8{int8(batch.Zstd), int8(batch.LZ4), int8(batch.Gzip), int8(batch.Snappy)}

// Receiver takes what clients push. Its methods are safe for concurrent use.
type Receiver struct {
	cfg    Config
	clock  clock.Clock
	random io.Reader
	subs   *Subscriptions

	mu          sync.Mutex
	instances   map[ID]*list.Element // of recent
	recent      *list.List           // *instance, the one that asked last first
	connections map[any]ID           // whose instance a connection made last
	swept       time.Time            // when those that are silent were removed last

	unpack sync.Mutex // held while what a client pushed is made plain and decoded: one at a time bounds the memory that takes
}

// instance is what is remembered of a client. It is guarded by the receiver's mutex.
type instance struct {
	id          ID
	connection  any
	profile     profile
	number      int32 // of the subscription
	got, pushed time.Time
	terminating bool
	failed      *kerr.Error // why its last request was refused, nil if it was not
	expires     time.Time
}

// NewReceiver returns a receiver that holds clients to subs.
func NewReceiver(cfg Config, subs *Subscriptions, c clock.Clock, random io.Reader) *Receiver {
	for v, def := range map[*int]int{&cfg.MaxInstances: DefaultMaxInstances, &cfg.MaxBytes: DefaultMaxBytes, &cfg.MaxPlain: DefaultMaxPlain} {
		if *v == 0 {
			*v = def
		}
	}
	if cfg.Board == nil {
		cfg.Board = NewBoard(BoardConfig{}, c)
	}
	return &Receiver{
		cfg: cfg, clock: c, random: random, subs: subs,
		instances: map[ID]*list.Element{}, recent: list.New(), connections: map[any]ID{},
	}
}

// Assignment is what a client is to push.
type Assignment struct {
	ID           ID
	Subscription int32
	Interval     time.Duration
	Metrics      []string // prefixes of names; none: nothing
	MaxBytes     int
}

// Subscribe tells a client what to push; an id of zero asks for a new one. THROTTLING_QUOTA_EXCEEDED if it asks too early.
func (r *Receiver) Subscribe(c *Client, id ID) (Assignment, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := id
	for id == (ID{}) || asked == (ID{}) && r.instances[id] != nil {
		if err := r.newID(&id); err != nil {
			return Assignment{}, err
		}
	}
	now := r.clock.Now()
	i := r.instanceLocked(c, id, now)
	if latest := later(i.got, i.pushed); latest.IsZero() || now.Sub(latest) >= i.profile.interval {
		i.got = now
	} else if i.failed != kerr.UnknownSubscriptionID && i.failed != kerr.UnsupportedCompressionType {
		return Assignment{}, refusal.New(kerr.ThrottlingQuotaExceeded, "Request from the client [%s] arrived before the next push interval time", asked)
	}
	i.failed = nil
	return Assignment{id, i.number, i.profile.interval, i.profile.prefixes(), r.cfg.MaxBytes}, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newID draws a random UUID of version 4 that does not begin with a dash, as Kafka's.
func (r *Receiver) newID(id *ID) error {
	for {
		if _, err := io.ReadFull(r.random, id[:]); err != nil {
			return fmt.Errorf("draw a client instance id: %w", err)
		}
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if !strings.HasPrefix(id.String(), "-") {
			return nil
		}
	}
}

// Push is what a client pushes: OTLP's MetricsData, compressed.
type Push struct {
	ID           ID
	Subscription int32
	Terminating  bool // it is the last
	Codec        int8
	Metrics      []byte
}

// Push takes what a client pushes.
func (r *Receiver) Push(c *Client, p *Push) error {
	if p.ID.reserved() {
		return refusal.New(kerr.InvalidRequest, "Invalid request from the client [%s], invalid client instance id", p.ID)
	}
	until, err := r.admit(c, p)
	if err != nil || len(p.Metrics) == 0 {
		return err
	}
	if err = r.take(c, p, until); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e := r.instances[p.ID]; e != nil {
			e.Value.(*instance).failed = kindOf(err)
		}
	}
	return err
}

func kindOf(err error) *kerr.Error { return err.(*refusal.Error).Kind }

// admit says whether a client may push now, and until when what it pushes is shown.
func (r *Receiver) admit(c *Client, p *Push) (until time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	i := r.instanceLocked(c, p.ID, now)
	defer func() {
		i.terminating, i.failed = p.Terminating, nil
		if err != nil {
			i.failed = kindOf(err)
		}
	}()
	if i.terminating {
		return until, refusal.New(kerr.InvalidRequest, "Client [%s] sent the previous request with state terminating to TRUE, can not accept any requests after that", p.ID)
	}
	// Clients spread their first push between half and one and a half intervals: the one that follows a subscription may come at any time.
	if i.got.After(i.pushed) || i.pushed.IsZero() || now.Sub(i.pushed) >= i.profile.interval {
		i.pushed = now
	} else if !p.Terminating {
		return until, refusal.New(kerr.ThrottlingQuotaExceeded, "Request from the client [%s] arrived before the next push interval time", p.ID)
	}
	switch {
	case p.Subscription != i.number:
		return until, refusal.New(kerr.UnknownSubscriptionID, "Unknown client subscription id for the client [%s]", p.ID)
	case p.Codec < int8(batch.None) || p.Codec > int8(batch.Zstd):
		return until, refusal.New(kerr.UnsupportedCompressionType, "Unknown compression type [%d] is received in telemetry request from [%s]", p.Codec, p.ID)
	case len(p.Metrics) > r.cfg.MaxBytes:
		return until, refusal.New(kerr.TelemetryTooLarge, "Telemetry request from [%s] is larger than the maximum allowed size [%d]", p.ID, r.cfg.MaxBytes)
	}
	return i.expires, nil
}

// take decodes what a client pushed, and shows it. TELEMETRY_TOO_LARGE tells a client to push less; after INVALID_RECORD it pushes no more.
func (r *Receiver) take(c *Client, p *Push, until time.Time) error {
	r.unpack.Lock()
	defer r.unpack.Unlock()
	plain, err := batch.Decompress(batch.Codec(p.Codec), p.Metrics, r.cfg.MaxPlain)
	if err != nil {
		var f *batch.Error
		if errors.As(err, &f) && f.Fault == batch.TooBig {
			return refusal.New(kerr.TelemetryTooLarge, "Telemetry of [%s] is more than %d bytes decompressed", p.ID, r.cfg.MaxPlain)
		}
		return refusal.New(kerr.InvalidRecord, "Telemetry of [%s] cannot be decompressed: %v", p.ID, err)
	}
	said, err := decode(plain)
	if err != nil {
		return refusal.New(kerr.InvalidRecord, "Telemetry of [%s] cannot be decoded: %v", p.ID, err)
	}
	r.cfg.Board.take(r.cfg.Cluster, c, p.ID, &said, r.clock.Now(), until)
	return nil
}

// instanceLocked returns what is remembered of a client, anew if it is nothing or the subscriptions have changed.
func (r *Receiver) instanceLocked(c *Client, id ID, now time.Time) *instance {
	r.sweepLocked(now)
	e := r.instances[id]
	first := e == nil
	if first {
		e = r.recent.PushFront(&instance{id: id})
		r.instances[id] = e
	}
	r.recent.MoveToFront(e)
	i := e.Value.(*instance)
	if first || !r.subs.current(i.profile.version) {
		r.forgetConnectionLocked(i)
		p := r.subs.of(c, id)
		*i = instance{id: id, connection: c.Connection, profile: p, number: p.number(id)}
		r.connections[c.Connection] = id
	}
	i.expires = now.Add(max(idleExpiry, 3*i.profile.interval))
	for r.recent.Len() > r.cfg.MaxInstances {
		r.removeLocked(r.recent.Back())
	}
	return i
}

// sweepEvery is how often those that are silent are looked for.
const sweepEvery = 10 * time.Second

func (r *Receiver) sweepLocked(now time.Time) {
	if now.Sub(r.swept) < sweepEvery {
		return
	}
	r.swept = now
	for _, e := range r.instances {
		if e.Value.(*instance).expires.Before(now) {
			r.removeLocked(e)
		}
	}
}

func (r *Receiver) removeLocked(e *list.Element) {
	i := r.recent.Remove(e).(*instance)
	delete(r.instances, i.id)
	r.forgetConnectionLocked(i)
}

func (r *Receiver) forgetConnectionLocked(i *instance) {
	if id, ok := r.connections[i.connection]; ok && id == i.id {
		delete(r.connections, i.connection)
	}
}

// Disconnect forgets the client of a connection. What it pushed is shown until it would have pushed again.
func (r *Receiver) Disconnect(connection any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := r.connections[connection]
	if !ok {
		return
	}
	delete(r.connections, connection)
	if e := r.instances[id]; e != nil {
		r.removeLocked(e)
	}
}

// Instances returns how many clients are remembered.
func (r *Receiver) Instances() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.instances)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// number is a subscription's id: the CRC32C of what is subscribed to, as Java prints it, with Java's hash of the client's UUID (KIP-714).
func (p *profile) number(id ID) int32 {
	text := fmt.Sprintf("[%s]%d", strings.Join(p.metrics, ", "), p.interval.Milliseconds())
	mixed := binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
	return int32(crc32.Checksum([]byte(text), castagnoli) ^ uint32(mixed>>32) ^ uint32(mixed))
}
