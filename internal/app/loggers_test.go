package app_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

// setLogger gives a logger of a node a level, or with "" that of the root.
func setLogger(t *testing.T, client *kgo.Client, name, level string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	change := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: kmsg.IncrementalAlterConfigOpSet, Value: &level}
	if level == "" {
		change.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{change},
	}}
	got, err := req.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(got.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("set logger %s to %s: %v", name, level, err)
	}
}

func TestLevelsOfLoggersAreSetWhileTheNodeRuns(t *testing.T) {
	log := newLimitedLog(clock.Real())
	defer log.Close()
	c := app.Config{Data: t.TempDir(), LogLevel: "warn"}
	node := start(t, c, app.Deps{Logger: app.NewLogger(c, log)})
	client := kafkaClient(t, node)
	// Each change is logged by part kafka at INFO, after it holds and before it is answered.
	const altered = `msg="logger altered" part=kafka`
	for _, step := range []struct {
		logger, level string
		logs          bool
	}{
		{"root", "INFO", true},
		{"root", "WARN", false},
		{"kafka", "DEBUG", true},
		{"root", "FATAL", true},
		{"kafka", "FATAL", false},
		{"root", "TRACE", false},
		{"kafka", "", true},
	} {
		log.take()
		setLogger(t, client, step.logger, step.level)
		if logged := strings.Join(log.take(), "\n"); strings.Contains(logged, altered) != step.logs {
			t.Errorf("after %s was set to %q the log has %q, want an INFO line of kafka: %v", step.logger, step.level, logged, step.logs)
		}
	}
	setLogger(t, client, "root", "WARN")
	setLogger(t, client, "requests", "DEBUG")
	clocktest.Eventually(t, "a request is logged", func() bool {
		return client.Ping(t.Context()) == nil && strings.Contains(strings.Join(log.take(), "\n"), "level=DEBUG msg=request part=requests")
	})

	client.Close()
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	log.take()
	node = start(t, c, app.Deps{Logger: app.NewLogger(c, log)})
	setLogger(t, kafkaClient(t, node), "requests", "")
	if lines := log.take(); len(lines) > 0 {
		t.Errorf("levels outlive the node: %q", lines)
	}
}
