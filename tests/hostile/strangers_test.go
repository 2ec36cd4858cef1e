package hostile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/tests/process"
)

const (
	// strangers is how many clients connect that never prove who they are, strangersMemory what they may cost, and their remains.
	strangers       = 5000
	strangersMemory = 128 << 20
	// stormFor is how long a storm of handshakes lasts, stormers how many clients shake hands at a time, and stormWait how long it may make others wait.
	stormFor  = 5 * time.Second
	stormers  = 16
	stormWait = 2 * time.Second
)

// fortress is a node at whose secured address clients prove who they are: alice's password is alice-secret.
type fortress struct {
	*process.Node
	secured string
	tls     *tls.Config
}

func startFortress(t *testing.T) *fortress {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("other addresses of this machine are needed, as Linux has them in 127.0.0.0/8")
	}
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	f := &fortress{secured: addresses[0]}
	f.Node = startNode(t, "--kafka-listeners", "SASL_SSL://"+f.secured, "--kafka-sasl-mechanisms", "SASL_SSL:PLAIN+SCRAM-SHA-512", "--kafka-users", "alice:alice-secret")
	text, err := os.ReadFile(filepath.Join(f.Data, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	f.tls = &tls.Config{RootCAs: x509.NewCertPool()}
	f.tls.RootCAs.AppendCertsFromPEM(text)
	return f
}

// dial connects from another address than friends do.
func (f *fortress) dial(ctx context.Context) (net.Conn, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: maxWait}
	return from.DialContext(ctx, "tcp", f.secured)
}

// shake connects and agrees on TLS.
func (f *fortress) shake(ctx context.Context) (*tls.Conn, error) {
	conn, err := f.dial(ctx)
	if err != nil {
		return nil, err
	}
	config := f.tls.Clone()
	config.ServerName = "127.0.0.1"
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

func (f *fortress) login(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(f.secured), kgo.DialTLSConfig(f.tls), kgo.SASL(scram.Auth{User: "alice", Pass: "alice-secret"}.AsSha512Mechanism()), kgo.DefaultProduceTopic("friends"),
	}, opts...)...)
}

// friend writes one record after the other on a session, and logs in anew now and then.
type friend struct {
	stop   context.CancelFunc
	work   sync.WaitGroup
	rounds atomic.Int64

	writes, logins []time.Duration // when stopped
	err            error
}

func (f *fortress) befriend(t *testing.T) *friend {
	t.Helper()
	client, err := f.login()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "friends"); err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &friend{stop: stop}
	timed := func(into *[]time.Duration, do func(context.Context) error) {
		limited, cancel := context.WithTimeout(ctx, maxWait)
		defer cancel()
		began := time.Now()
		if err := do(limited); err != nil && ctx.Err() == nil && r.err == nil {
			r.err = err
		}
		*into = append(*into, time.Since(began))
	}
	r.work.Go(func() {
		defer client.Close()
		for i := 0; ctx.Err() == nil; i++ {
			timed(&r.writes, func(ctx context.Context) error { return client.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr() })
			if i%20 == 0 {
				timed(&r.logins, func(ctx context.Context) error {
					fresh, err := f.login()
					if err != nil {
						return err
					}
					defer fresh.Close()
					return fresh.Ping(ctx)
				})
			}
			r.rounds.Add(1)
		}
	})
	return r
}

// until waits for more rounds of the friend.
func (r *friend) until(t *testing.T, more int64) {
	t.Helper()
	want := r.rounds.Load() + more
	clocktest.Eventually(t, "the friend goes on", func() bool { return r.rounds.Load() >= want })
}

// end stops the friend and says how it fared.
func (r *friend) end(t *testing.T, when string) (worst time.Duration) {
	t.Helper()
	r.stop()
	r.work.Wait()
	if r.err != nil {
		t.Errorf("%s: the friend noticed: %v", when, r.err)
	}
	slices.Sort(r.writes)
	slices.Sort(r.logins)
	part := func(all []time.Duration, p float64) time.Duration { return all[int(p*float64(len(all)-1))] }
	t.Logf("%s: %d writes, half within %s, 99 of 100 within %s, all within %s; %d logins, half within %s, all within %s", when,
		len(r.writes), part(r.writes, .5), part(r.writes, .99), part(r.writes, 1), len(r.logins), part(r.logins, .5), part(r.logins, 1))
	return part(r.writes, .99)
}

func (f *fortress) usage(t *testing.T) process.Usage {
	t.Helper()
	usage, err := f.Process().Usage()
	if err != nil {
		t.Fatalf("the node is gone: %v\n%s", err, f.Process().Tail(4000))
	}
	return usage
}

// figure reads one metric.
func (f *fortress) figure(t *testing.T, name string) (value float64) {
	t.Helper()
	resp, err := http.Get(f.Endpoint() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n"+name+" ")
	if _, err := fmt.Sscan(rest, &value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// TestStrangersCostLittle has clients at the door that do not prove who they are: silent, half through a handshake, half through a frame. While they are
// there a friend goes on and logs in, and when they have had their time nothing of them is left.
func TestStrangersCostLittle(t *testing.T) {
	f := startFortress(t)
	if err := raiseFileLimit(strangers + 500); err != nil {
		t.Skipf("not enough file descriptors: %v", err)
	}
	quiet := f.befriend(t)
	quiet.until(t, 200)
	quiet.end(t, "before")
	before := f.usage(t)
	r := f.befriend(t)
	hello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	request := frame(kmsg.NewPtrSASLHandshakeRequest(), 1)
	began := time.Now()
	most := 0.0
	for i := range strangers {
		conn, err := f.dial(t.Context())
		if err != nil {
			t.Fatalf("stranger %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		switch i % 4 {
		case 1:
			_, err = conn.Write(hello)
		case 2:
			_, err = conn.Write(append([]byte{0x16, 3, 1, 0x3f, 0xff}, make([]byte, 8000)...))
		case 3:
			if i%100 == 3 { // handshakes cost this side as much
				secured, shaken := f.shake(t.Context())
				if shaken != nil {
					t.Fatalf("stranger %d: %v", i, shaken)
				}
				t.Cleanup(func() { secured.Close() })
				_, err = secured.Write(request[:len(request)/2])
			}
		}
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Logf("stranger %d is gone already: %v", i, err)
		}
		if i%500 == 499 {
			most = max(most, f.figure(t, "freshet_kafka_unauthenticated_connections"))
		}
	}
	r.until(t, 100)
	during := f.usage(t)
	t.Logf("%d strangers in %s: %d MiB resident, %d before, %d at most; CPU %s; %g at a time", strangers, time.Since(began).Round(time.Millisecond),
		during.Resident>>20, before.Resident>>20, during.Peak>>20, during.CPU-before.CPU, most)
	if grown := during.Peak - before.Resident; grown > strangersMemory {
		t.Errorf("strangers cost %d MiB, more than %d", grown>>20, strangersMemory>>20)
	}
	if most > 1100 {
		t.Errorf("%g strangers at a time", most)
	}
	r.end(t, "with strangers")
}

// TestGuessersAreHeldUp guesses a password from one address as fast as may be, from many connections.
func TestGuessersAreHeldUp(t *testing.T) {
	f := startFortress(t)
	r := f.befriend(t)
	var tried, looked, heldUp atomic.Int64
	before := f.usage(t)
	began := time.Now()
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for time.Since(began) < stormFor {
				ctx, cancel := context.WithTimeout(t.Context(), maxWait)
				client, err := kgo.NewClient(kgo.SeedBrokers(f.secured), kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return f.shake(ctx) }),
					kgo.SASL(plain.Auth{User: "alice", Pass: fmt.Sprint("guess", tried.Add(1))}.AsMechanism()), kgo.RequestRetries(0))
				if err != nil {
					t.Error(err)
				} else {
					switch err := client.Ping(ctx); {
					case err == nil:
						t.Error("a guess is taken")
					case strings.Contains(err.Error(), "too many attempts"):
						heldUp.Add(1)
					default:
						looked.Add(1)
					}
					client.Close()
				}
				cancel()
			}
		})
	}
	work.Wait()
	r.until(t, 40)
	after := f.usage(t)
	t.Logf("%d guesses in %s: %d looked at, %d held up; CPU %s", tried.Load(), time.Since(began).Round(time.Millisecond), looked.Load(), heldUp.Load(), after.CPU-before.CPU)
	if looked.Load() > 20 || heldUp.Load() == 0 {
		t.Errorf("%d passwords were looked at, %d were not", looked.Load(), heldUp.Load())
	}
	if n := f.figure(t, "freshet_kafka_failed_authentications_total"); n < float64(looked.Load()) {
		t.Errorf("%g failures are counted", n)
	}
	r.end(t, "with guessers")
}

// TestAStormOfHandshakes shakes hands again and again, without saying anything more.
func TestAStormOfHandshakes(t *testing.T) {
	f := startFortress(t)
	quiet := f.befriend(t)
	quiet.until(t, 300)
	quiet.end(t, "before")
	r := f.befriend(t)
	before, began := f.usage(t), time.Now()
	var shaken, failed atomic.Int64
	var work sync.WaitGroup
	for range stormers {
		work.Go(func() {
			for time.Since(began) < stormFor {
				conn, err := f.shake(t.Context())
				if err != nil {
					failed.Add(1)
					continue
				}
				shaken.Add(1)
				conn.Close()
			}
		})
	}
	work.Wait()
	took, after := time.Since(began), f.usage(t)
	t.Logf("%d handshakes in %s, %d failed; CPU %s, %d MiB resident", shaken.Load(), took.Round(time.Millisecond), failed.Load(), after.CPU-before.CPU, after.Resident>>20)
	if worst := r.end(t, "in the storm"); worst > stormWait {
		t.Errorf("others wait %s", worst)
	}
}
