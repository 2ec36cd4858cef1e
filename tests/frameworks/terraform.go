package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// OpenTofu, which plans and applies as Terraform does, and the provider of Kafka. Both are built from their modules.
const (
	tofuModule, tofuVersion         = "github.com/opentofu/opentofu", "v1.12.6"
	providerModule, providerVersion = "github.com/Mongey/terraform-provider-kafka", "v0.13.1"
)

// terraform applies topics, ACLs, quotas and users, and changes and destroys them. After each step the next plan is empty, also after a kill of the node,
// and the server has what was asked for. What was altered behind its back is found and mended.
func terraform(ctx context.Context, r *rig) error {
	t, err := newTofu(ctx, r)
	if err != nil {
		return err
	}
	if r.node != nil { // ACLs are off unless they are asked for
		if err := r.node.Stop(); err != nil {
			return err
		}
		r.node.Args = append(r.node.Args, "--kafka-acls", "open", "--kafka-super-users", "User:ANONYMOUS")
		if _, err := r.node.Start(ctx); err != nil {
			return err
		}
	}
	first, second := managed(3, "86400000", "4e+06", 8192), managed(5, "3600000", "5e+06", 4096)
	changed := []string{"-var=partitions=5", "-var=retention=3600000", "-var=rate=5000000", "-var=iterations=4096"}
	steps := []struct {
		what string
		do   func() error
	}{
		{"apply", func() error { return t.apply(ctx) }},
		{"what is there", func() error { return t.expect(ctx, first) }},
		{"plan after it", func() error { return t.plan(ctx, false) }},
		{"kill -9 of the node", func() error { return t.kill(ctx) }},
		{"plan after that", func() error { return t.plan(ctx, false) }},
		{"alteration by another", func() error { return t.drift(ctx) }},
		{"plan that finds it", func() error { return t.plan(ctx, true) }},
		{"apply again", func() error { return t.apply(ctx) }},
		{"what is there then", func() error { return t.expect(ctx, first) }},
		{"plan of a change", func() error { return t.plan(ctx, true, changed...) }},
		{"apply of a change", func() error { return t.apply(ctx, changed...) }},
		{"kill -9 of the node, changed", func() error { return t.kill(ctx) }},
		{"what was changed", func() error { return t.expect(ctx, second) }},
		{"plan after the change", func() error { return t.plan(ctx, false, changed...) }},
		{"destroy", func() error { return t.apply(ctx, append(changed, "-destroy")...) }},
		{"what is left", func() error { return t.expect(ctx, nil) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		fmt.Println(s.what)
	}
	return nil
}

// tofu is a configuration, and how it is applied.
type tofu struct {
	rig    *rig
	binary string
	dir    string
	env    []string
}

func newTofu(ctx context.Context, r *rig) (*tofu, error) {
	t := &tofu{rig: r, dir: filepath.Join(r.dir, "terraform")}
	binary, err := kit.GoBuild(ctx, tofuModule, tofuVersion, "./cmd/tofu")
	if err != nil {
		return nil, err
	}
	t.binary = binary
	provider, err := kit.GoBuild(ctx, providerModule, providerVersion, ".")
	if err != nil {
		return nil, err
	}
	root, err := process.ModuleRoot()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "tests", "frameworks", "terraform", "main.tf"))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return nil, err
	}
	settings := filepath.Join(t.dir, "tofu.rc")
	override := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"Mongey/kafka\" = %q\n  }\n}\n", filepath.Dir(provider))
	t.env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+settings, "TF_IN_AUTOMATION=1", "TF_VAR_kafka="+r.kafka)
	return t, errors.Join(os.WriteFile(settings, []byte(override), 0o644), os.WriteFile(filepath.Join(t.dir, "main.tf"), text, 0o644))
}

// run returns what the program says, and its exit code.
func (t *tofu) run(ctx context.Context, args ...string) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.binary, args...)
	cmd.Dir, cmd.Env = t.dir, t.env
	// It ends the provider, which it started, unless it is killed.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 20*time.Second
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ctx.Err() == nil {
		err = nil
	}
	return string(out), cmd.ProcessState.ExitCode(), err
}

func (t *tofu) apply(ctx context.Context, more ...string) error {
	out, exit, err := t.run(ctx, append([]string{"apply", "-auto-approve", "-input=false", "-no-color"}, more...)...)
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit code %d: %s", exit, out)
	}
	return err
}

// plan wants a plan with changes, or one without.
func (t *tofu) plan(ctx context.Context, changes bool, more ...string) error {
	out, exit, err := t.run(ctx, append([]string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}, more...)...)
	if want := map[bool]int{false: 0, true: 2}[changes]; err == nil && exit != want {
		err = fmt.Errorf("exit code %d, not %d: %s", exit, want, out)
	}
	return err
}

func (t *tofu) kill(ctx context.Context) error {
	if t.rig.node == nil || t.rig.kills == 0 {
		return nil
	}
	t.rig.node.Kill()
	_, err := t.rig.node.Start(ctx)
	return err
}

// drift alters the topic by other means.
func (t *tofu) drift(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.rig.kafka))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := "1000"
	_, err = kadm.NewClient(cl).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "orders")
	return err
}

// managed is what main.tf comes to, as found says it.
func managed(partitions int, retention, rate string, iterations int) []string {
	return []string{
		"acl User:alice * ALLOW WRITE TOPIC LITERAL orders",
		"acl User:alice 127.0.0.1 DENY READ GROUP PREFIXED team-",
		"quota client-id client1 consumer_byte_rate=" + rate,
		"quota client-id client1 producer_byte_rate=3.5e+06",
		"quota user (all) request_percentage=250.5",
		fmt.Sprintf("topic orders %d cleanup.policy=compact,delete retention.ms=%s segment.bytes=104857600", partitions, retention),
		fmt.Sprintf("user alice SCRAM-SHA-256 %d", iterations),
	}
}

// expect compares with what the server itself says that it has.
func (t *tofu) expect(ctx context.Context, want []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.rig.kafka))
	if err != nil {
		return err
	}
	defer cl.Close()
	var got []string
	for _, of := range []func(context.Context, *kgo.Client) ([]string, error){foundTopics, foundACLs, foundQuotas, foundUsers} {
		lines, err := of(ctx, cl)
		if err != nil {
			return err
		}
		got = append(got, lines...)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		return fmt.Errorf("the server has\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return nil
}

func foundTopics(ctx context.Context, cl *kgo.Client) (lines []string, err error) {
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics.Sorted() {
		line := fmt.Sprintf("topic %s %d", topic.Topic, len(topic.Partitions))
		configs, err := admin.DescribeTopicConfigs(ctx, topic.Topic)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(configs[0].Configs, func(a, b kadm.Config) int { return strings.Compare(a.Key, b.Key) })
		for _, c := range configs[0].Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				line += " " + c.Key + "=" + c.MaybeValue()
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func foundACLs(ctx context.Context, cl *kgo.Client) (lines []string, err error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	for _, of := range resp.Resources {
		for _, a := range of.ACLs {
			lines = append(lines, fmt.Sprintln("acl", a.Principal, a.Host, a.PermissionType, a.Operation, of.ResourceType, of.ResourcePatternType, of.ResourceName))
		}
	}
	return trimmed(lines), nil
}

func foundQuotas(ctx context.Context, cl *kgo.Client) (lines []string, err error) {
	resp, err := kmsg.NewPtrDescribeClientQuotasRequest().RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	for _, e := range resp.Entries {
		of := ""
		for _, part := range e.Entity {
			name := "(all)"
			if part.Name != nil {
				name = *part.Name
			}
			of += part.Type + " " + name + " "
		}
		for _, v := range e.Values {
			lines = append(lines, fmt.Sprintf("quota %s%s=%g", of, v.Key, v.Value))
		}
	}
	return lines, nil
}

func foundUsers(ctx context.Context, cl *kgo.Client) (lines []string, err error) {
	users, err := kadm.NewClient(cl).DescribeUserSCRAMs(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range users.Sorted() {
		for _, c := range u.CredInfos {
			lines = append(lines, fmt.Sprintln("user", u.User, c.Mechanism, c.Iterations))
		}
	}
	return trimmed(lines), nil
}

func trimmed(lines []string) []string {
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}
