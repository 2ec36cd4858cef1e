package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// Config is what a FrontDoor is made of. Zero values mean the defaults named below.
type Config struct {
	Services []Service
	Auth     Auth
	// Pages answers the requests that are no AWS calls: metrics, health, the console. nil answers none. A page is only asked for a request
	// without a signature, target or action, so that no API is shadowed.
	Pages *http.ServeMux

	Clock  clock.Clock // required
	Random io.Reader   // required; seeds the request ids
	Log    *slog.Logger
	// Observe is told of each finished request, on the request's goroutine.
	Observe func(Observation)

	// MaxInFlightBytes bounds the memory of all request bodies and reserved answers together.
	MaxInFlightBytes int64
	// MaxConnections bounds open connections per listener; more wait in the listener's backlog.
	MaxConnections int
	// BodyTimeout is how long a client may take to send a body, WriteTimeout to take an answer or one frame of a stream, IdleTimeout to
	// keep an unused connection, QueueTimeout how long a request waits for memory. DrainTimeout is how long Serve waits for open requests
	// after it was told to stop. The first three act on the real clock only: a virtual clock's connections have no deadlines.
	BodyTimeout, WriteTimeout, IdleTimeout, QueueTimeout, DrainTimeout time.Duration
}

// Defaults of Config.
const (
	DefaultMaxInFlightBytes = 128 << 20
	DefaultMaxConnections   = 16_384
	DefaultBodyTimeout      = time.Minute
	DefaultWriteTimeout     = time.Minute
	DefaultIdleTimeout      = 2 * time.Minute
	DefaultQueueTimeout     = 10 * time.Second
	DefaultDrainTimeout     = 10 * time.Second
)

// FrontDoor serves AWS APIs over HTTP. It is an http.Handler for tests and embedding; Serve is the whole server.
type FrontDoor struct {
	config    Config
	byTarget  map[string]*service   // X-Amz-Target before the dot
	bySigning map[string][]*service // service in the credential scope
	budget    *budget
	ids       *ids
	// draining ends when the server stops: event streams end then.
	draining context.Context
	drain    context.CancelFunc
	// deadlines tells whether the clock is the one that network deadlines follow.
	deadlines bool
	gate      gate
}

// service is a Service, indexed.
type service struct {
	Service
	operations  map[string]*operation
	routes      []restRoute // of a rest service
	javaPackage string
}

// operation is an Operation with what the model and the ledger know of it.
type operation struct {
	Operation
	model   *shape.Operation
	refusal *refusals
	unread  []int // fields of the input
	bulky   bool  // answers carry blobs, so they can be megabytes
}

// New checks the services against their models and returns the front door for them.
func New(config Config) (*FrontDoor, error) {
	if config.Clock == nil || config.Random == nil {
		return nil, errors.New("aws: Config needs Clock and Random")
	}
	config.setDefaults()
	f := &FrontDoor{
		config: config, byTarget: map[string]*service{}, bySigning: map[string][]*service{},
		budget:    newBudget(config.MaxInFlightBytes, config.largestRequest(), config.QueueTimeout, config.Clock),
		deadlines: config.Clock == clock.Real(),
	}
	f.draining, f.drain = context.WithCancel(context.Background())
	var err error
	if f.ids, err = newIDs(config.Random); err != nil {
		return nil, fmt.Errorf("aws: seed request ids: %w", err)
	}
	for _, s := range config.Services {
		indexed, err := indexService(s)
		if err != nil {
			return nil, fmt.Errorf("aws: %w", err)
		}
		info := &s.Model.Info
		if info.TargetPrefix != "" {
			f.byTarget[info.TargetPrefix] = indexed
		}
		f.bySigning[info.SigningName] = append(f.bySigning[info.SigningName], indexed)
	}
	return f, nil
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Auth.Account == "" {
		c.Auth.Account = DefaultAccount
	}
	if c.MaxInFlightBytes == 0 {
		c.MaxInFlightBytes = DefaultMaxInFlightBytes
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	for _, d := range []struct {
		field   *time.Duration
		initial time.Duration
	}{
		{&c.BodyTimeout, DefaultBodyTimeout},
		{&c.WriteTimeout, DefaultWriteTimeout},
		{&c.IdleTimeout, DefaultIdleTimeout},
		{&c.QueueTimeout, DefaultQueueTimeout},
		{&c.DrainTimeout, DefaultDrainTimeout},
	} {
		if *d.field == 0 {
			*d.field = d.initial
		}
	}
}

// largestRequest returns how much memory one request can need: its body, compressed and not.
func (c *Config) largestRequest() int64 {
	body := int64(DefaultMaxBodyBytes)
	for _, s := range c.Services {
		body = max(body, s.MaxBodyBytes)
	}
	return 2 * body
}

func indexService(s Service) (*service, error) {
	if s.MaxBodyBytes == 0 {
		s.MaxBodyBytes = DefaultMaxBodyBytes
	}
	info := &s.Model.Info
	indexed := &service{
		Service: s, operations: make(map[string]*operation, len(s.Operations)),
		routes:      restRoutes(s.Model),
		javaPackage: "com.amazonaws." + info.EndpointName + ".v" + strings.ReplaceAll(info.APIVersion, "-", ""),
	}
	for name := range s.Refused {
		if s.Model.Operation(name) == nil || slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Name == name }) {
			return nil, fmt.Errorf("service %s: operation %s cannot be refused: it is served, or unknown", info.ID, name)
		}
	}
	for i := range s.Operations {
		op := &s.Operations[i]
		if err := op.check(s.Model); err != nil {
			return nil, err
		}
		if indexed.operations[op.Name] != nil {
			return nil, fmt.Errorf("service %s: operation %s is listed twice", info.ID, op.Name)
		}
		model := s.Model.Operation(op.Name)
		indexed.operations[op.Name] = &operation{
			Operation: *op, model: model, refusal: findRefusals(op.Name, model.InputShape, s.Ledger), unread: findUnread(op, s.Ledger),
			bulky: hasBlob(model.OutputShape, map[*shape.Shape]bool{}),
		}
	}
	return indexed, nil
}

// findUnread returns the fields of an operation's input that nobody is to look at.
func findUnread(op *Operation, ledger Ledger) (fields []int) {
	t := reflect.TypeOf(op.newInput()).Elem()
	for i := range t.NumField() {
		if ledger[op.Name+"."+t.Field(i).Name].unread {
			fields = append(fields, i)
		}
	}
	return fields
}

// hasBlob tells whether values of s can hold blobs.
func hasBlob(s *shape.Shape, seen map[*shape.Shape]bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	for i := range s.Members {
		if hasBlob(s.Members[i].Shape, seen) {
			return true
		}
	}
	return s.Kind == shape.Blob || hasBlob(s.ElementShape, seen)
}

// Operations lists what is served, as service:operation, sorted.
func (f *FrontDoor) Operations() []string {
	var names []string
	for _, services := range f.bySigning {
		for _, s := range services {
			for name := range s.operations {
				names = append(names, s.Model.Info.EndpointName+":"+name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// ServeHTTP answers one request.
func (f *FrontDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reached(r)
	if !f.gate.enter() {
		panic(http.ErrAbortHandler) // the server has been closed; so has this connection
	}
	defer f.gate.leave()
	if f.config.Pages != nil && !isCall(r) {
		if page, pattern := f.config.Pages.Handler(r); pattern != "" {
			page.ServeHTTP(w, r)
			return
		}
	}
	x := &exchange{door: f, w: w, r: r, started: f.config.Clock.Now(), id: f.ids.requestID(), share: share{budget: f.budget}}
	defer x.finish()
	x.serve()
}
