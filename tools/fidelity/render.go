package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
)

const head = `# Fidelity

Made by ` + "`go run ./tools/fidelity`" + ` from the ledgers in the code; do not edit. Nothing that a client sends is silently ignored. Each member of each
request is

- **enforced**: it has the effect that AWS or Kafka documents;
- **stored**: it is accepted, and returned where the API returns it, but has no effect here;
- **refused**: a request that carries it is answered with an error which names it.

Members that a service's model does not have are dropped, as AWS does. Operations that are not served are answered with
` + "`UnknownOperationException`" + ` (` + "`InvalidAction`" + ` in the query protocol) and the operation's name.
`

func render(services []aws.Service, topics []kafka.TopicSetting, brokers []brokerconfig.Setting) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, s := range services {
		renderService(&b, s)
	}
	renderTopics(&b, topics)
	renderBrokers(&b, brokers)
	return b.Bytes()
}

func renderService(b *bytes.Buffer, s aws.Service) {
	info := s.Model.Info
	lines := s.Lines()
	fmt.Fprintf(b, "\n## %s, API %s\n\n", info.ID, info.APIVersion)
	var served, others []string
	for _, op := range s.Operations {
		served = append(served, op.Name)
	}
	slices.Sort(served)
	for _, op := range s.Model.Operations {
		if !slices.Contains(served, op.Name) {
			others = append(others, op.Name)
		}
	}
	fmt.Fprintf(b, "%d of %d operations are served: %s.\n", len(served), len(s.Model.Operations), strings.Join(served, ", "))
	if len(others) > 0 {
		fmt.Fprintf(b, "\nNot served: %s.\n", strings.Join(others, ", "))
	}
	renderRefused(b, s.Refused)
	if len(lines) == 0 {
		return
	}
	b.WriteString("\n| request or structure | enforced | stored | refused |\n|---|---|---|---|\n")
	for from := 0; from < len(lines); {
		to := from
		for to < len(lines) && lines[to].Owner == lines[from].Owner {
			to++
		}
		owned := lines[from:to]
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", lines[from].Owner,
			members(owned, aws.LevelEnforced), members(owned, aws.LevelStored), members(owned, aws.LevelRefused))
		from = to
	}
	renderReasons(b, "Stored", lines, aws.LevelStored)
	renderReasons(b, "Refused", lines, aws.LevelRefused)
}

// renderRefused lists each reason for which operations are refused once, with their names.
func renderRefused(b *bytes.Buffer, refused map[string]string) {
	of := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		of[refused[name]] = append(of[refused[name]], name)
	}
	for i, reason := range slices.Sorted(maps.Keys(of)) {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "- %s: %s\n", strings.Join(of[reason], ", "), reason)
	}
}

func members(lines []aws.Line, level aws.Level) string {
	var names []string
	for _, l := range lines {
		if l.Fidelity.Level == level {
			names = append(names, l.Member)
		}
	}
	return strings.Join(names, ", ")
}

// renderReasons lists each reason once, with the members it holds for.
func renderReasons(b *bytes.Buffer, title string, lines []aws.Line, level aws.Level) {
	var reasons []string
	of := map[string][]string{}
	for _, l := range lines {
		if l.Fidelity.Level != level {
			continue
		}
		if of[l.Fidelity.Reason] == nil {
			reasons = append(reasons, l.Fidelity.Reason)
		}
		if !slices.Contains(of[l.Fidelity.Reason], l.Member) {
			of[l.Fidelity.Reason] = append(of[l.Fidelity.Reason], l.Member)
		}
	}
	if len(reasons) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n", title)
	for _, reason := range reasons {
		fmt.Fprintf(b, "- %s: %s\n", strings.Join(of[reason], ", "), reason)
	}
}

func renderTopics(b *bytes.Buffer, topics []kafka.TopicSetting) {
	b.WriteString("\n## Kafka topic configs\n\nUnknown configs are refused with INVALID_CONFIG.\n\n| config | default | effect | |\n|---|---|---|---|\n")
	for _, t := range topics {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", t.Key, t.Default, t.Effect, strings.ReplaceAll(t.Doc, "|", "\\|"))
	}
}

// renderBrokers lists those that can be altered while a broker runs, then those that cannot.
func renderBrokers(b *bytes.Buffer, settings []brokerconfig.Setting) {
	const head = "| config | default | effect | |\n|---|---|---|---|\n"
	row := func(s *brokerconfig.Setting) {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", s.Key, s.Default, s.Effect, strings.ReplaceAll(s.Doc, "|", "\\|"))
	}
	b.WriteString("\n## Kafka broker configs\n\nThose that Apache Kafka lets be altered while a broker runs; unknown ones are refused with INVALID_REQUEST.\n\n" + head)
	for i := range settings {
		if !settings[i].ReadOnly() {
			row(&settings[i])
		}
	}
	b.WriteString("\nThose that a broker is started with, or that say what it is:\n\n" + head)
	for i := range settings {
		if settings[i].ReadOnly() {
			row(&settings[i])
		}
	}
}
