package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Node is a freshet to be judged: the same binary, data directory and addresses across restarts.
type Node struct {
	Binary string
	Data   string   // data directory
	Kafka  string   // host:port of the Kafka listener
	AWS    string   // host:port of the AWS front door
	Args   []string // more flags of `freshet serve`
	Env    []string // added to the environment
	Log    string   // file for its output; empty = beside the data directory

	process *Process
}

// ModuleRoot returns the directory of the go.mod that the working directory is in.
func ModuleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == os.DevNull {
		return "", errors.New("find the module: not inside one")
	}
	return filepath.Dir(file), nil
}

// Build compiles ./cmd/freshet of the working tree into dir and returns the binary's path. $FRESHET_BINARY names one to judge instead.
func Build(ctx context.Context, dir string) (string, error) {
	if binary := os.Getenv("FRESHET_BINARY"); binary != "" {
		return binary, nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "freshet")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/freshet")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build freshet: %w\n%s", err, out)
	}
	return binary, nil
}

// NewNode returns a node on free loopback ports with its data under dir. It does not start it.
func NewNode(binary, dir string) (*Node, error) {
	addresses, err := FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	return &Node{
		Binary: binary, Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "freshet.log"),
		Kafka: addresses[0], AWS: addresses[1],
	}, nil
}

// Start runs the node and returns how long it took until both ports were open and it called itself ready.
func (n *Node) Start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	p, err := Start(Command{
		Name: "freshet", Path: n.Binary, Log: n.Log, Env: n.Env,
		Args: append([]string{"serve", "--data", n.Data, "--kafka", n.Kafka, "--aws", n.AWS}, n.Args...),
	})
	if err != nil {
		return 0, err
	}
	err = p.WaitTCP(ctx, n.Kafka, n.AWS)
	took := time.Since(began)
	if err == nil {
		err = p.WaitHTTP(ctx, n.Endpoint()+"/readyz")
	}
	if err != nil {
		p.Kill()
		return 0, err
	}
	n.process = p
	return took, nil
}

// Endpoint is the URL for AWS clients.
func (n *Node) Endpoint() string { return "http://" + n.AWS }

// Process is the running child, nil before the first Start.
func (n *Node) Process() *Process { return n.process }

// Kill ends the node as kill -9 does.
func (n *Node) Kill() { n.process.Kill() }

// drainPatience is longer than freshet's own limit for finishing what is in flight.
const drainPatience = 40 * time.Second

// Stop ends the node in order; an exit code other than 0 is an error. Stopping a node that never started does nothing.
func (n *Node) Stop() error {
	if n.process == nil {
		return nil
	}
	return n.process.Stop(drainPatience)
}
