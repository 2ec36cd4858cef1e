package main

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestScenariosStop ends the context within scenarios that would go on for ever.
func TestScenariosStop(t *testing.T) {
	request := same(func() kmsg.Request { return kmsg.NewPtrHeartbeatRequest() })
	for name, next := range map[string]func(*pair){
		"asking":  func(p *pair) { p.kafka.ask(4, request(p.kafka)) },
		"waiting": func(p *pair) { p.receive(p.send("", 4, request)) },
	} {
		p := &pair{report: newReport(), kafka: newSide("kafka", "127.0.0.1:0", ""), freshet: newSide("freshet", "127.0.0.1:0", "")}
		ctx, cancel := context.WithCancel(t.Context())
		tidied := false
		err := p.runScenario(ctx, scenario{name, func(p *pair) error {
			defer func() { tidied = true }()
			next(p)
			cancel()
			for {
				next(p)
			}
		}})
		if !errors.Is(err, context.Canceled) || !tidied {
			t.Errorf("%s: %v, tidied %t", name, err, tidied)
		}
	}
	failed := errors.New("failed")
	p := &pair{kafka: newSide("kafka", "", ""), freshet: newSide("freshet", "", "")}
	for _, want := range []error{nil, failed} {
		if err := p.runScenario(t.Context(), scenario{"", func(*pair) error { return want }}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
