package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/app"
)

// parse returns the configuration that a command line means.
func parse(t *testing.T, args ...string) app.Config {
	t.Helper()
	var c cli
	parser, settings, err := newParser(&c, &terminal{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil || settings.err != nil {
		t.Fatal(err, settings.err)
	}
	return c.Serve.Config
}

func TestSettingsMeanTheSameWhereverTheyStand(t *testing.T) {
	off := false
	want := app.Config{
		Data: "d", Kafka: "k:1", KafkaAdvertised: "a:2", AWS: "w:3", AWSTLS: "t:4", Insecure: true, MSKPorts: "7-9", Auth: "verify",
		AccessKeys: []string{"a:b", "c:d"}, AcceptAnyRF: &off, AutoCreateTopics: &off, DefaultPartitions: 7, MaxShards: 8, TailMemory: 3 << 20,
		CompactMemory: 5 << 20, CompactRate: 6 << 20, Objects: "o", KafkaConfigs: []string{"log.roll.hours=1", "log.cleanup.policy=compact", "delete"},
		DrainTimeout: 90 * time.Second, LogLevel: "warn", LogFormat: "json", Pprof: true,
	}
	values := map[string]string{
		"data": "d", "kafka": "k:1", "kafka-advertised": "a:2", "aws": "w:3", "aws-tls": "t:4", "insecure": "true", "msk-ports": "7-9", "auth": "verify",
		"access-keys": "a:b,c:d", "accept-any-rf": "false", "auto-create-topics": "false", "default-partitions": "7", "max-shards": "8", "tail-memory": "3MiB",
		"compact-memory": "5MiB", "compact-rate": "6MiB", "objects": "o", "kafka-configs": "log.roll.hours=1,log.cleanup.policy=compact,delete",
		"drain-timeout": "1m30s", "log-level": "warn", "log-format": "json", "pprof": "true",
	}
	securitySettings(&want, values)
	accessSettings(t, &want, values)
	want.Tier, want.TierCache, values["tier"], values["tier-cache"] = "r", 4<<20, "r", "4MiB"
	var flags []string
	var file strings.Builder
	for _, name := range app.Names() {
		if values[name] == "" {
			t.Fatalf("the test does not know the setting %s", name)
		}
		flags = append(flags, "--"+name+"="+values[name])
		file.WriteString(name + ": " + values[name] + "\n")
	}
	if got := parse(t, flags...); !reflect.DeepEqual(got, want) {
		t.Errorf("flags mean %+v", got)
	}
	path := filepath.Join(t.TempDir(), "freshet.yaml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := parse(t, "--config", path); !reflect.DeepEqual(got, want) {
		t.Errorf("the file means %+v", got)
	}
	for name, value := range values {
		t.Setenv(app.Environment(name), value)
	}
	if got := parse(t, "serve"); !reflect.DeepEqual(got, want) {
		t.Errorf("the environment means %+v", got)
	}
	if got := parse(t, "serve", "--accept-any-rf", "--data", "other"); !*got.AcceptAnyRF || got.Data != "other" {
		t.Errorf("flags do not go before the environment: %+v", got)
	}
}

func TestVariablesThatAreNoSettingsAreNamed(t *testing.T) {
	var log strings.Builder
	warnOfVariables(slog.New(slog.NewTextHandler(&log, nil)), []string{
		"FRESHET_DATA=d", "FRESHET_CONFIG=f", "FRESHET_CACHE=c", "FRESHET_BINARY=b", asProgram + "=1", "PATH=p", "=C:=C:", "FRESHETTE=1", "KAFKA=k",
		"FRESHET_KAFKA_ADVERTIZED=hunter2", "FRESHET_TAILMEMORY=hunter2", "FRESHET_=", "FRESHET_BOGUS=hunter2", "FRESHET_PORT=tcp://10.0.0.1",
	})
	for _, want := range []string{
		"variable=FRESHET_KAFKA_ADVERTIZED nearest_setting=FRESHET_KAFKA_ADVERTISED", "variable=FRESHET_TAILMEMORY nearest_setting=FRESHET_TAIL_MEMORY", "variable=FRESHET_\n", "variable=FRESHET_BOGUS\n", "variable=FRESHET_PORT\n",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 5 || strings.Contains(log.String(), "hunter2") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

func TestBareCommandMeansDefaults(t *testing.T) {
	want := app.Defaults()
	want.AcceptAnyRF, want.AutoCreateTopics, want.KafkaDelegationTokens = nil, nil, nil // the defaults of what has none on the command line
	if got := parse(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
