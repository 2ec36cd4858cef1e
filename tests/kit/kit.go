// Package kit installs other people's software for the suites that judge freshet: client libraries of five languages, and Apache Kafka. Each is
// pinned by a file of the repository and comes from its own registry through the registry's own client (pip, npm, Maven, go, cargo).
//
// Everything lands under Cache(), once; a changed pin gets a directory of its own. Nothing is installed by `go test`.
package kit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
)

// Cache is where installations live: $FRESHET_CACHE, or the user's cache directory.
func Cache() (string, error) {
	dir := os.Getenv("FRESHET_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory: %w", err)
		}
		dir = filepath.Join(base, "freshet")
	}
	return filepath.Abs(dir)
}

// stamp marks a complete installation.
const stamp = ".installed"

var installing sync.Mutex // one installation at a time in this process; lockFile keeps other processes out

// once returns the directory of an installation, which install fills unless an earlier run has. The pins are all that decides what is installed.
func once(ctx context.Context, name string, pins [][]byte, install func(dir string) error) (string, error) {
	installing.Lock()
	defer installing.Unlock()
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, p := range pins {
		fmt.Fprintf(sum, "%d:%s", len(p), p)
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(sum.Sum(nil))[:12])
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	unlock, err := lockFile(filepath.Join(cache, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock the cache: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, stamp)); err == nil {
		return dir, nil
	}
	// What an interrupted installation left is not worth keeping.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make %s: %w", dir, err)
	}
	if err := install(dir); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return dir, os.WriteFile(filepath.Join(dir, stamp), nil, 0o644)
}

// run executes a tool quietly; its output is in the error.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out[max(0, len(out)-4000):])
	}
	return nil
}

// Python makes a virtual environment with the packages of a requirements file and returns its bin directory.
func Python(ctx context.Context, requirements string) (string, error) {
	pins, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	dir, err := once(ctx, "python", [][]byte{pins}, func(dir string) error {
		if err := run(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		// --no-deps: the file names every package, so that nothing unpinned slips in.
		return run(ctx, dir, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", requirements)
	})
	return filepath.Join(dir, "bin"), err
}

// Node installs the packages that a directory's package.json and package-lock.json name and returns a directory with them in node_modules.
func Node(ctx context.Context, source string) (string, error) {
	var pins [][]byte
	files := []string{"package.json", "package-lock.json"}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(source, f))
		if err != nil {
			return "", err
		}
		pins = append(pins, text)
	}
	return once(ctx, "node", pins, func(dir string) error {
		for i, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), pins[i], 0o644); err != nil {
				return err
			}
		}
		return run(ctx, dir, "npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
	})
}

// mavenDependency is the plugin that fetches artifacts.
const mavenDependency = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

// Maven copies the jars of a pom and all they need into a directory, which it returns. Properties are pins too, as "name=value".
func Maven(ctx context.Context, name, pom string, properties ...string) (string, error) {
	text, err := os.ReadFile(pom)
	if err != nil {
		return "", err
	}
	pins := [][]byte{text}
	for _, p := range properties {
		pins = append(pins, []byte(p))
	}
	return once(ctx, name, pins, func(dir string) error {
		args := []string{
			"-q", "-B", "-f", pom, mavenDependency + ":copy-dependencies",
			"-DoutputDirectory=" + dir,
		}
		for _, p := range properties {
			args = append(args, "-D"+p)
		}
		return run(ctx, filepath.Dir(pom), "mvn", args...)
	})
}

// Javac compiles sources against the jars of a directory and returns the class directory.
func Javac(ctx context.Context, name, jars string, sources ...string) (string, error) {
	pins := [][]byte{[]byte(jars)}
	for _, s := range sources {
		text, err := os.ReadFile(s)
		if err != nil {
			return "", err
		}
		pins = append(pins, text)
	}
	return once(ctx, name, pins, func(dir string) error {
		args := []string{"-nowarn", "-encoding", "UTF-8", "-cp", filepath.Join(jars, "*"), "-d", dir}
		return run(ctx, dir, "javac", slices.Concat(args, sources)...)
	})
}

// Go builds one command of a module into the cache and returns the binary. Go's own cache knows what is stale.
func Go(ctx context.Context, module, command string) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, "go", filepath.Base(command))
	return binary, run(ctx, module, "go", "build", "-o", binary, command)
}

// GoInstall installs a command of another module, built with the versions that the module was published with, and returns the binary.
func GoInstall(ctx context.Context, command, version string) (string, error) {
	at := command + "@" + version
	dir, err := once(ctx, filepath.Base(command), [][]byte{[]byte(at)}, func(dir string) error {
		return run(ctx, dir, "env", "GOBIN="+dir, "go", "install", at)
	})
	return filepath.Join(dir, filepath.Base(command)), err
}

// GoBuild builds a package of another module, with the versions and the replacements that its go.mod names: GoInstall takes no module that replaces others. It
// returns the binary, which is alone in its directory.
func GoBuild(ctx context.Context, module, version, command string) (string, error) {
	name := filepath.Base(command)
	if name == "." {
		name = filepath.Base(module)
	}
	at := module + "@" + version
	dir, err := once(ctx, name, [][]byte{[]byte(at), []byte(command)}, func(dir string) error {
		cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", at)
		cmd.Dir = dir
		out, err := cmd.Output()
		var fetched struct{ Dir, Error string }
		if jsonErr := json.Unmarshal(out, &fetched); jsonErr != nil || fetched.Error != "" {
			return errors.Join(err, jsonErr, errors.New(fetched.Error))
		}
		return run(ctx, fetched.Dir, "go", "build", "-o", filepath.Join(dir, name), command)
	})
	return filepath.Join(dir, name), err
}

// Debian unpacks a package of the machine's Debian into a directory, which it returns, without what it depends on. The version is a pattern.
func Debian(ctx context.Context, name, version string) (string, error) {
	pin := name + "=" + version
	return once(ctx, name, [][]byte{[]byte(pin)}, func(dir string) error {
		download := func() error { return run(ctx, dir, "apt-get", "download", "--quiet", pin) }
		if download() != nil { // the machine may have no lists yet
			if err := run(ctx, dir, "apt-get", "update", "--quiet"); err != nil {
				return err
			}
			if err := download(); err != nil {
				return err
			}
		}
		archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil || len(archives) != 1 {
			return fmt.Errorf("%d archives of %s", len(archives), pin)
		}
		defer os.Remove(archives[0])
		return run(ctx, dir, "dpkg", "--extract", archives[0], dir)
	})
}

// Cargo installs a crate's program, built with the lock file the crate was published with, and returns the binary.
func Cargo(ctx context.Context, crate, version string) (string, error) {
	dir, err := once(ctx, crate, [][]byte{[]byte(version)}, func(dir string) error {
		target := filepath.Join(dir, "target")
		defer os.RemoveAll(target)
		return run(ctx, dir, "cargo", "install", "--quiet", "--locked", "--root", dir, "--target-dir", target, crate+"@"+version)
	})
	return filepath.Join(dir, "bin", crate), err
}
