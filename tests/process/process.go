// Package process runs servers and clients as child processes for the suites that judge the real binary: interop, bench, tests/crash and
// tests/hostile. Process is one child with its log, its end and its cost; Node is a freshet of the working tree.
//
// Nothing here outlives its parent's wish: every child leads its own process group, and Stop and Kill end the whole group and wait for it.
package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Command says what to run.
type Command struct {
	Name string   // in messages
	Path string   // the program; looked up in PATH if it has no slash
	Args []string // without the program
	Env  []string // added to the parent's
	Dir  string   // working directory; empty = the parent's
	Log  string   // file that gets both outputs, appended; empty = discarded
}

// Process is one running child.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended and err is final
	err  error

	stopping sync.Mutex // one stop at a time
}

// Start runs the command in the background. The caller stops it.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	ownGroup(cmd)
	var log *os.File
	if c.Log != "" {
		var err error
		if log, err = os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return nil, fmt.Errorf("open log of %s: %w", c.Name, err)
		}
		defer log.Close() // the child has its own descriptor
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, log: c.Log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended; valid after Done.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill ends the child as a crash would: SIGKILL, no warning. It returns when the child is gone.
func (p *Process) Kill() {
	killGroup(p.cmd)
	<-p.done
}

// Stop asks the child to end and waits up to patience before it kills it. The error is the child's own, if it did not end well, or
// says that it had to be killed.
func (p *Process) Stop(patience time.Duration) error {
	p.stopping.Lock()
	defer p.stopping.Unlock()
	select {
	case <-p.done:
		return p.err
	default:
	}
	if err := p.cmd.Process.Signal(interruptSignal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		killGroup(p.cmd) // what it may have left behind
		return p.err
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not stop within %s", p.name, patience)
	}
}

// WaitTCP returns when something listens on every address. It fails when ctx or the child ends first.
func (p *Process) WaitTCP(ctx context.Context, addresses ...string) error {
	return p.poll(ctx, func() error {
		for _, a := range addresses {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", a)
			if err != nil {
				return err
			}
			conn.Close()
		}
		return nil
	})
}

// WaitHTTP returns when url answers with a status below 300.
func (p *Process) WaitHTTP(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return p.poll(ctx, func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	})
}

// pollEvery is short against the start of any server here, and long against the cost of asking.
const pollEvery = 2 * time.Millisecond

func (p *Process) poll(ctx context.Context, ready func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it served: %w; log: %s", p.name, errors.Join(p.err, err), p.Tail(2000))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w; log: %s", p.name, errors.Join(context.Cause(ctx), err), p.Tail(2000))
		case <-tick.C:
		}
	}
}

// Tail returns up to n bytes of the end of the child's log.
func (p *Process) Tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-n):])
}

// FreeAddresses returns n loopback addresses that were free a moment ago.
func FreeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // held until all are found, so that they differ
		addresses[i] = l.Addr().String()
	}
	return addresses, nil
}
