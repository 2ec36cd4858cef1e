package kit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// What Flink is made of. PyPI's package carries the distribution's jars: Maven Central has them only one by one.
const (
	flinkLibraries = "apache-flink-libraries==2.3.0"
	flinkConnector = "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2"
)

// Flink fetches Apache Flink with its Kafka connector and returns the directory of their jars.
func Flink(ctx context.Context) (string, error) {
	return once(ctx, "flink", [][]byte{[]byte(flinkLibraries), []byte(flinkConnector)}, func(dir string) error {
		work, err := os.MkdirTemp(dir, "download-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := run(ctx, work, "python3", "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "-d", work, flinkLibraries); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(work, "*.tar.gz"))
		if err != nil || len(archives) == 0 {
			return os.ErrNotExist
		}
		if err := run(ctx, work, "tar", "-xzf", archives[0], "-C", dir, "--strip-components=3", "--wildcards", "*/deps/lib/*"); err != nil {
			return err
		}
		return copyArtifact(ctx, dir, flinkConnector)
	})
}

// copyArtifact copies one jar into a directory, without what it depends on.
func copyArtifact(ctx context.Context, dir, artifact string) error {
	return run(ctx, dir, "mvn", "-q", "-B", mavenDependency+":copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir)
}

// MavenUnpack unpacks an artifact, as group:name:version:tar.gz:classifier, into a directory, which it returns.
func MavenUnpack(ctx context.Context, name, artifact string) (string, error) {
	return once(ctx, name, [][]byte{[]byte(artifact)}, func(dir string) error {
		return run(ctx, dir, "mvn", "-q", "-B", mavenDependency+":unpack", "-Dartifact="+artifact, "-DoutputDirectory="+dir)
	})
}

// javaVersion finds the major version in what java -version says.
var javaVersion = regexp.MustCompile(`version "(\d+)`)

// Java returns a program that runs classes of a version: the java of the path, $JAVA_HOME's, or one of those that Linux distributions install.
func Java(ctx context.Context, version int) (string, error) {
	found := []string{"java", filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")}
	installed, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	for _, path := range append(found, installed...) {
		said, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		if v := javaVersion.FindSubmatch(said); v != nil {
			if n, err := strconv.Atoi(string(v[1])); err == nil && n >= version {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("needs Java %d or newer, in the path or as JAVA_HOME", version)
}
