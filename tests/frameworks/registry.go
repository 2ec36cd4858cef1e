package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// registry runs Apicurio Registry with the node as its storage (kafkasql), by the API that it shares with Confluent's. Schemas are registered and evolve,
// what is not compatible is refused, and after kills of registry and node ids and versions are as they were.
func registry(ctx context.Context, r *rig) error {
	a, err := newApicurio(ctx, r)
	if err != nil {
		return err
	}
	if err := a.start(ctx); err != nil {
		return err
	}
	defer func() { a.process.Kill() }()
	if err := a.call(ctx, http.MethodPut, "/config", map[string]string{"compatibility": "BACKWARD"}, nil); err != nil {
		return err
	}
	for kill := range r.kills {
		subject := fmt.Sprintf("orders-%d-value", kill)
		if err := a.evolve(ctx, subject); err != nil {
			return err
		}
		if r.node != nil && kill%2 == 1 {
			fmt.Println("kill -9 of the node")
			r.node.Kill()
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
		} else {
			fmt.Println("kill -9 of the registry")
			a.process.Kill()
			if err := a.start(ctx); err != nil {
				return err
			}
		}
		if err := a.verify(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("%d schemas of %d subjects as they were across %d kills\n", len(a.schemas), r.kills, r.kills)
	return nil
}

// apicurioArtifact is the registry with all its libraries, which needs Java apicurioJava.
const (
	apicurioArtifact = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
	apicurioJava     = 21
)

// apicurio is a registry, and what it was told.
type apicurio struct {
	command process.Command
	address string // of its API
	health  string // of its page of health
	process *process.Process
	schemas map[int]string   // by id
	ids     map[string][]int // of each subject's versions
}

func newApicurio(ctx context.Context, r *rig) (*apicurio, error) {
	dir, err := kit.MavenUnpack(ctx, "apicurio", apicurioArtifact)
	if err != nil {
		return nil, err
	}
	java, err := kit.Java(ctx, apicurioJava)
	if err != nil {
		return nil, fmt.Errorf("Apicurio Registry %w", err)
	}
	addresses, err := process.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addresses[0], ":")
	_, management, _ := strings.Cut(addresses[1], ":")
	a := &apicurio{address: addresses[0], health: addresses[1], schemas: map[int]string{}, ids: map[string][]int{}}
	a.command = process.Command{
		Name: "Apicurio Registry", Path: java, Log: filepath.Join(r.dir, "apicurio.log"),
		Args: []string{
			"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Djava.io.tmpdir=" + r.dir, "-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=" + port,
			"-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port=" + management,
			"-Dapicurio.storage.kind=kafkasql", "-Dapicurio.kafkasql.bootstrap.servers=" + r.kafka, "-Dquarkus.log.level=WARN",
			"-jar", filepath.Join(dir, "quarkus-run.jar"),
		},
	}
	return a, nil
}

func (a *apicurio) start(ctx context.Context) (err error) {
	if a.process, err = process.Start(a.command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the registry does not serve after %s", patience))
	defer cancel()
	return a.process.WaitHTTP(ctx, "http://"+a.health+"/health/ready")
}

// refused is the status of an answer that is not 200.
type refused struct {
	status int
	text   string
}

// Error says what was answered.
func (r *refused) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

// call sends one request of Confluent's API. What the node's death interrupts is sent again: registering a schema twice gives the same id.
func (a *apicurio) call(ctx context.Context, method, path string, body, into any) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if err = a.once(ctx, method, path, body, into); err == nil {
			return nil
		}
		if r, ok := err.(*refused); ok && r.status < 500 || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("%s %s: %w; %s", method, path, err, a.process.Tail(4000))
}

func (a *apicurio) once(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.address+"/apis/ccompat/v7"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refused{resp.StatusCode, string(answer)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// schema is an Avro record with fields; more of them than id have defaults.
func schema(fields ...string) string {
	text := `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}`
	for _, f := range fields {
		text += `,` + f
	}
	return text + `]}`
}

// evolve registers a schema and one that is compatible with it, and has one refused that is not.
func (a *apicurio) evolve(ctx context.Context, subject string) error {
	note := fmt.Sprintf(`{"name":"note_%d","type":"string","default":""}`, len(a.schemas))
	for _, s := range []string{schema(), schema(note)} {
		var answer struct{ ID int }
		if err := a.call(ctx, http.MethodPost, "/subjects/"+subject+"/versions", map[string]string{"schema": s}, &answer); err != nil {
			return err
		}
		if known, ok := a.schemas[answer.ID]; ok && known != s {
			return fmt.Errorf("id %d of %s is that of another schema", answer.ID, subject)
		}
		a.schemas[answer.ID] = s
		a.ids[subject] = append(a.ids[subject], answer.ID)
	}
	needs := schema(`{"name":"needed","type":"string"}`)
	err := a.call(ctx, http.MethodPost, "/subjects/"+subject+"/versions", map[string]string{"schema": needs}, nil)
	if r, ok := err.(*refused); !ok || r.status != http.StatusConflict {
		return fmt.Errorf("a field without default: %v, want 409", err)
	}
	return nil
}

// verify wants every schema by its id, and every version of every subject.
func (a *apicurio) verify(ctx context.Context) error {
	for id, want := range a.schemas {
		var answer struct{ Schema string }
		if err := a.call(ctx, http.MethodGet, fmt.Sprint("/schemas/ids/", id), nil, &answer); err != nil {
			return err
		}
		if answer.Schema != want {
			return fmt.Errorf("id %d is %s, not %s", id, answer.Schema, want)
		}
	}
	for subject, ids := range a.ids {
		for i, want := range ids {
			var answer struct{ ID, Version int }
			if err := a.call(ctx, http.MethodGet, fmt.Sprintf("/subjects/%s/versions/%d", subject, i+1), nil, &answer); err != nil {
				return err
			}
			if answer.ID != want || answer.Version != i+1 {
				return fmt.Errorf("version %d of %s has id %d, not %d", i+1, subject, answer.ID, want)
			}
		}
	}
	return nil
}
