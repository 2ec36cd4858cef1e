package msk

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/state/memstate"
)

// rig is a service behind a front door that checks signatures, and AWS's own client of it.
type rig struct {
	*sdk.Client
	t       *testing.T
	service *Service
	plane   *fakePlane
	secrets fakeSecrets
	clock   *clock.Virtual
	url     string
}

var rigStart = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)

func seeded() io.Reader { return rand.NewChaCha8([32]byte([]byte(strings.Repeat("control ", 4)))) }

func newRig(t *testing.T, config Config) *rig {
	t.Helper()
	c := clock.NewVirtual(rigStart)
	const ports = 9
	r := &rig{t: t, clock: c, plane: newFakePlane(t, ports), secrets: fakeSecrets{}}
	r.service = New(config, Dependencies{State: memstate.New(c), Plane: r.plane, Secrets: r.secrets, Clock: c, Random: seeded(), Logger: slog.New(slog.DiscardHandler)})
	r.serve()
	return r
}

// restart makes a new service on the state that there is, and a plane with so many ports, which has forgotten everything. Nothing is started.
func (r *rig) restart(ports int) {
	r.t.Helper()
	old := r.service
	r.plane = newFakePlane(r.t, ports)
	r.service = New(old.config, Dependencies{State: old.state, Plane: r.plane, Secrets: r.secrets, Clock: old.clock, Random: old.names.random, Logger: old.logger})
	r.serve()
}

// serve puts the service behind a new front door.
func (r *rig) serve() {
	r.t.Helper()
	door, err := aws.New(aws.Config{
		Services: []aws.Service{r.service.API()}, Clock: clock.Real(), Random: seeded(),
		Auth: aws.Auth{Verify: true, Keys: map[string]aws.Key{"AKID": {Secret: "secret"}, "OTHER": {Secret: "secret", Account: "111111111111"}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	server := httptest.NewServer(door)
	r.t.Cleanup(server.Close)
	r.url = server.URL
	r.Client = r.as("AKID", "eu-west-1")
}

// as returns a client with another key or in another region.
func (r *rig) as(key, region string) *sdk.Client {
	return sdk.New(sdk.Options{
		BaseEndpoint: &r.url, Region: region, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
	})
}

// ok returns the answer of a call that must succeed.
func ok[T any](t *testing.T) func(T, error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// refusedWith wants a call to fail with code, a member named unless that is "", and a message that has text in it.
func refusedWith(t *testing.T, err error, code, member, text string) {
	t.Helper()
	var fault smithy.APIError
	if !errors.As(err, &fault) || fault.ErrorCode() != code || !strings.Contains(fault.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
		return
	}
	named := ""
	if f := reflect.Indirect(reflect.ValueOf(fault)).FieldByName("InvalidParameter"); f.IsValid() && !f.IsNil() {
		named = f.Elem().String()
	}
	if named != member {
		t.Errorf("%s names %q, want %q", code, named, member)
	}
}
