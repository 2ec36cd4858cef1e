package app_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock"
)

// limitedLog is a limited logger, and what reaches its log: without times.
type limitedLog struct {
	*app.LogLimiter
	*slog.Logger
	mu   sync.Mutex
	text bytes.Buffer
}

func newLimitedLog(c clock.Clock) *limitedLog {
	l := &limitedLog{}
	l.LogLimiter = app.LimitLog(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), c)
	l.Logger = l.LogLimiter.Logger()
	return l
}

func (l *limitedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// take returns the lines since the last call.
func (l *limitedLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for line := range strings.Lines(l.text.String()) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	l.text.Reset()
	return lines
}

func (l *limitedLog) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := l.take(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLogIsLimitedByMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimitedLog(clock.Real())
		defer l.Close()
		part := l.With("part", "kafka")
		for i := range 100 {
			part.Warn("connection closed", "peer", i)
		}
		if got := l.take(); len(got) != 100 || got[99] != `level=WARN msg="connection closed" part=kafka peer=99` {
			t.Errorf("the first lines are %q", got)
		}
		for range 900 {
			part.Warn("connection closed")
		}
		l.want(t, "too many")
		if got := l.Dropped(); got != 900 {
			t.Errorf("%d lines dropped, want 900", got)
		}
		l.Info("connection closed")
		l.Warn("node started")
		l.want(t, "another level, another message", `level=INFO msg="connection closed"`, `level=WARN msg="node started"`)

		time.Sleep(10 * time.Second)
		synctest.Wait()
		l.want(t, "when the time is over", `level=WARN msg="connection closed" and_more=900`)
		part.Warn("connection closed")
		l.want(t, "after it", `level=WARN msg="connection closed" part=kafka`)
		time.Sleep(time.Hour)
		l.want(t, "when nothing was dropped")
	})
}

func TestLogLimitSaysWhatIsDueBeforeTheNextLine(t *testing.T) {
	now := clock.NewVirtual(time.Unix(1000, 0))
	l := newLimitedLog(stoppedTimers{now})
	for range 103 {
		l.Warn("connection closed")
	}
	l.take()
	now.Advance(10 * time.Second)
	l.Warn("connection closed")
	l.want(t, "after ten seconds", `level=WARN msg="connection closed" and_more=3`, `level=WARN msg="connection closed"`)
	for range 101 {
		l.Warn("connection closed")
	}
	l.take()
	l.Close()
	l.want(t, "at the end", `level=WARN msg="connection closed" and_more=2`)
	for range 20 {
		l.Warn("connection closed")
	}
	if got := l.take(); len(got) != 20 {
		t.Errorf("%d lines after the end, want all 20", len(got))
	}
}

// stoppedTimers is a clock on which nobody is woken.
type stoppedTimers struct{ clock.Clock }

func (stoppedTimers) NewTicker(time.Duration) clock.Ticker {
	return clock.NewVirtual(time.Time{}).NewTicker(time.Second)
}

func TestLogLimitsErrorsLessAndDebugNot(t *testing.T) {
	l := newLimitedLog(clock.NewVirtual(time.Unix(1000, 0)))
	for range 1000 {
		l.Error("log failed")
	}
	if got := len(l.take()); got != 500 {
		t.Errorf("%d errors pass, want 500", got)
	}
	for range 1000 {
		l.Debug("request")
	}
	if got := len(l.take()); got != 1000 {
		t.Errorf("%d lines for those who want each, want 1000", got)
	}
	l.Close()
	l.want(t, "at the end", `level=ERROR msg="log failed" and_more=500`)
}

func TestLogLimitBoundsMessages(t *testing.T) {
	now := clock.NewVirtual(time.Unix(1000, 0))
	l := newLimitedLog(stoppedTimers{now})
	defer l.Close()
	const messages = 1000
	for i := range messages {
		l.Warn(fmt.Sprint("message ", i))
	}
	got := l.take()
	if len(got) != 256+100 {
		t.Errorf("%d lines of %d messages, want one of each of 256 and 100 of the others", len(got), messages)
	}
	now.Advance(10 * time.Second)
	l.Warn("message 999")
	if got := l.take(); len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), `msg="other messages" and_more=644`) || !strings.Contains(strings.Join(got, "\n"), "message 999") {
		t.Errorf("ten seconds later: %q", got)
	}
}

// TestNodeLimitsWhatClientsMakeItLog: with bytes that are no request, and requests that are none of ours.
func TestNodeLimitsWhatClientsMakeItLog(t *testing.T) {
	var log bytes.Buffer
	node := start(t, app.Config{AWSTLS: "127.0.0.1:0"}, app.Deps{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const each = 300
	began := time.Now()
	at := node.Addresses()
	for range each {
		for _, address := range []string{at.Kafka, strings.TrimPrefix(at.AWS, "http://"), strings.TrimPrefix(at.AWSTLS, "https://")} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(append(bytes.Repeat([]byte{0xff}, 60), "\r\n\r\n"...)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, c) // until the node closes, perhaps with a reset
			c.Close()
		}
		if status, _ := get(t, at.AWS+"/foo"); status == http.StatusOK {
			t.Fatal("/foo was answered")
		}
	}
	times := int(time.Since(began)/(10*time.Second)) + 2
	_, metrics := get(t, at.AWS+"/metrics")
	if strings.Contains(metrics, "freshet_logger_lines_dropped_total 0\n") || !strings.Contains(metrics, "freshet_logger_lines_dropped_total ") {
		t.Error("the metrics do not say that lines were dropped")
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	lines, more := map[string]int{}, map[string]int{}
	for line := range strings.Lines(log.String()) {
		_, text, _ := strings.Cut(line, " msg=")
		text, _, _ = strings.Cut(strings.TrimPrefix(text, `"`), `"`)
		if _, dropped, ok := strings.Cut(line, "and_more="); ok {
			n, err := strconv.Atoi(strings.TrimSpace(dropped))
			if err != nil {
				t.Fatal(err)
			}
			more[text] += n
		} else {
			lines[text]++
		}
	}
	for _, text := range []string{"connection closed", "aws request turned away", "aws connection"} {
		if got := lines[text]; got > 100*times {
			t.Errorf("%q was logged %d times in %s", text, got, time.Since(began))
		}
		if got := lines[text] + more[text]; got != each {
			t.Errorf("%q was logged and counted %d times, want %d:\n%s", text, got, each, log.String())
		}
	}
}

func BenchmarkLogLimit(b *testing.B) {
	l := app.LimitLog(slog.New(slog.NewTextHandler(io.Discard, nil)), clock.Real())
	defer l.Close()
	logger := l.Logger()
	for b.Loop() {
		logger.Warn("connection closed", "peer", "127.0.0.1:1", "client", "", "reason", io.EOF)
	}
}
