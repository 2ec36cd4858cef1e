package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/freshet/freshet/internal/app"
)

// asProgram makes the test binary behave as freshet itself.
const asProgram = "FRESHET_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"freshet": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// child is a node in a process of its own, as users run it.
type child struct {
	app.Addresses
	command *exec.Cmd
	log     *strings.Builder
}

// startChild runs a node on a data directory and free ports, and waits until it is ready.
func startChild(t *testing.T, data string, flags ...string) *child {
	t.Helper()
	return startCommand(t, append([]string{os.Args[0], "serve", "--json", "--data", data, "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0"}, flags...)...)
}

// startCommand does so by a command line.
func startCommand(t *testing.T, line ...string) *child {
	t.Helper()
	c := &child{command: exec.Command(line[0], line[1:]...), log: &strings.Builder{}}
	c.command.Env = append(os.Environ(), asProgram+"=1")
	c.command.Stderr = c.log
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.kill(t) })
	said, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		c.kill(t)
		t.Fatalf("node did not start: %v\n%s", err, c.log)
	}
	if err := json.Unmarshal(said, &c.Addresses); err != nil {
		t.Fatalf("node said %q: %v", said, err)
	}
	return c
}

// kill ends the process without warning. Killing twice does nothing.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if c.command.ProcessState != nil {
		return
	}
	if err := c.command.Process.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	_ = c.command.Wait() // it says that the process was killed
}

// stop ends the process as an operator does, and checks that it goes in peace.
func (c *child) stop(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGTERM)
	c.ends(t)
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends waits for a process that was told to end, and checks that it goes in peace.
func (c *child) ends(t *testing.T) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- c.command.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("node ended with %v\n%s", err, c.log)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("node does not stop\n%s", c.log)
	}
}

// TestClosedTerminalDrains: the shell sends SIGHUP, and then the system once more.
func TestClosedTerminalDrains(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as under nohup")
	}
	node := startChild(t, t.TempDir())
	node.signal(t, syscall.SIGHUP)
	node.signal(t, syscall.SIGHUP)
	node.ends(t)
	if !strings.Contains(node.log.String(), "msg=stopped") {
		t.Errorf("the node did not stop in order:\n%s", node.log)
	}
}

func TestNohupIsHeeded(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	node := startCommand(t, shell, "-c", `trap "" HUP; exec "$0" "$@"`,
		os.Args[0], "serve", "--json", "--data", t.TempDir(), "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0")
	node.signal(t, syscall.SIGHUP)
	if _, err := node.kinesisClient().ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
		t.Errorf("after SIGHUP: %v", err)
	}
	node.stop(t) // it would be the second signal, which kills
}
