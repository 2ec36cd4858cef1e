package kafka

import (
	"context"
	"fmt"
	"math"
	"reflect"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/principal"
)

// Authorizer decides who may do what. Its methods are called from many goroutines.
type Authorizer interface {
	// Authorize says whether who may do op to the resource of a kind and name.
	Authorize(who acl.Subject, op acl.Operation, kind acl.Resource, name string) bool
	// AuthorizeAny says whether who may do op to any resource of a kind.
	AuthorizeAny(who acl.Subject, op acl.Operation, kind acl.Resource) bool
	// Version changes when what was decided may be wrong.
	Version() uint64
}

// The answers to what a client may not do.
var (
	errTopicDenied         = refuse(kerr.TopicAuthorizationFailed, "Topic authorization failed.")
	errGroupDenied         = refuse(kerr.GroupAuthorizationFailed, "Group authorization failed.")
	errClusterDenied       = refuse(kerr.ClusterAuthorizationFailed, "Cluster authorization failed.")
	errTransactionalDenied = refuse(kerr.TransactionalIDAuthorizationFailed, "Transactional Id authorization failed.")
)

// grants remembers what was decided about a client, so that the same questions, as of each Produce, are answered by one look-up.
type grants struct {
	subject acl.Subject
	of      principal.Principal // whose subject it is
	version uint64              // of the authorizer, which decided holds for
	serial  uint64              // counts the changes of of and version
	decided map[grant]bool
}

type grant struct {
	op   acl.Operation
	kind acl.Resource
	name string
}

// maxGrants bounds the decisions remembered for a connection.
const maxGrants = 64

// may says whether the client may do op to the resource of a kind and name.
func (c *Client) may(op acl.Operation, kind acl.Resource, name string) bool {
	return c.server.authorizer == nil || c.trusted || c.decide(op, kind, name)
}

func (c *Client) decide(op acl.Operation, kind acl.Resource, name string) bool {
	g := c.refreshGrants()
	asked := grant{op, kind, name}
	if yes, known := g.decided[asked]; known {
		return yes
	}
	yes := c.server.authorizer.Authorize(g.subject, op, kind, name)
	if len(g.decided) >= maxGrants {
		clear(g.decided)
	}
	g.decided[asked] = yes
	return yes
}

// refreshGrants forgets decisions that may be wrong: rules have changed, or the client is somebody else.
func (c *Client) refreshGrants() *grants {
	g := &c.grants
	version, who := c.server.authorizer.Version(), c.Principal()
	if g.decided == nil || g.of != who {
		*g = grants{subject: acl.Subject{Principal: who.String(), Host: c.Host()}, of: who, version: version, serial: g.serial + 1, decided: map[grant]bool{}}
	}
	if g.version != version {
		g.version = version
		g.serial++
		clear(g.decided)
	}
	return g
}

// require is may, of what the client has asked for: that it may not is logged.
func (c *Client) require(op acl.Operation, kind acl.Resource, name string) bool {
	if c.may(op, kind, name) {
		return true
	}
	c.server.logger.Info("access denied", "principal", c.grants.subject.Principal, "host", c.grants.subject.Host,
		"operation", op, "resource", kind, "name", name, "client", c.ID)
	return false
}

// mayAny says whether the client may do op to any resource of a kind.
func (c *Client) mayAny(op acl.Operation, kind acl.Resource) bool {
	a := c.server.authorizer
	return a == nil || c.trusted || a.AuthorizeAny(c.refreshGrants().subject, op, kind)
}

func (c *Client) mayCluster(op acl.Operation) bool { return c.may(op, acl.Cluster, acl.ClusterName) }

func (c *Client) requireCluster(op acl.Operation) bool {
	return c.require(op, acl.Cluster, acl.ClusterName)
}

// operations returns what the client may do to a resource, as a bit field of operations.
func (c *Client) operations(kind acl.Resource, name string) int32 {
	bits := int32(0)
	for _, op := range acl.Operations(kind) {
		if op <= acl.IdempotentWrite && c.may(op, kind, name) { // the newer ones are in no bit field of a client
			bits |= 1 << op
		}
	}
	return bits
}

// describedOperations is operations of a resource that a response tells of: 0 if the client may not describe it.
func (c *Client) describedOperations(kind acl.Resource, name string) int32 {
	if !c.may(acl.Describe, kind, name) {
		return 0
	}
	return c.operations(kind, name)
}

// notAsked is the value of a bit field of operations that the client did not ask for.
const notAsked = math.MinInt32

// rule decides about one request, as KafkaApis and ControllerApis do. It returns the answer that refuses the whole of it, or else takes out of the
// request what the client may not do and returns what tells so in the answer, nil if there is nothing to tell.
type rule func(ctx context.Context, c *Client, req kmsg.Request) (refused kmsg.Response, tell func(kmsg.Response))

// authorized serves a request as far as the client may make it.
func (c *Client) authorized(ctx context.Context, a *api, req kmsg.Request) (kmsg.Response, error) {
	if c.server.authorizer == nil {
		return a.serve(c.server, ctx, c, req), nil
	}
	decide := rules[a.key]
	if decide == nil {
		return nil, fmt.Errorf("nobody may send %s: no rule says who", a.key.Name())
	}
	refused, tell := decide(ctx, c, req)
	if refused != nil {
		return refused, nil
	}
	resp := a.serve(c.server, ctx, c, req)
	if resp != nil && tell != nil {
		tell(resp)
	}
	return resp, nil
}

// anyone is the rule of requests that need no right, or whose handlers themselves ask for rights.
func anyone(context.Context, *Client, kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
	return nil, nil
}

// inParts makes a rule of a function that takes out what the client may not do.
func inParts[Q kmsg.Request, R kmsg.Response](take func(ctx context.Context, c *Client, req Q) func(resp R)) rule {
	return func(ctx context.Context, c *Client, req kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
		tell := take(ctx, c, req.(Q))
		if tell == nil {
			return nil, nil
		}
		return nil, func(resp kmsg.Response) { tell(resp.(R)) }
	}
}

// inWhole makes a rule of a function that refuses the request or does not.
func inWhole[Q kmsg.Request](refusal func(ctx context.Context, c *Client, req Q) kmsg.Response) rule {
	return func(ctx context.Context, c *Client, req kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
		return refusal(ctx, c, req.(Q)), nil
	}
}

// then makes a rule of two: the second decides about what the first has left.
func (first rule) then(second rule) rule {
	return func(ctx context.Context, c *Client, req kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
		refused, tell := first(ctx, c, req)
		if refused != nil {
			return refused, nil
		}
		refused, also := second(ctx, c, req)
		if refused != nil || tell == nil {
			return refused, also
		}
		return nil, func(resp kmsg.Response) {
			if also != nil {
				also(resp)
			}
			tell(resp)
		}
	}
}

// onCluster is the rule of requests about the cluster, which answer with one error.
func onCluster(op acl.Operation) rule {
	return func(_ context.Context, c *Client, req kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
		if c.requireCluster(op) {
			return nil, nil
		}
		return failed(req, errClusterDenied), nil
	}
}

// onGroup is the rule of requests about one group, which answer with one error.
func onGroup[Q kmsg.Request](op acl.Operation, group func(Q) string) rule {
	return func(_ context.Context, c *Client, req kmsg.Request) (kmsg.Response, func(kmsg.Response)) {
		if c.require(op, acl.Group, group(req.(Q))) {
			return nil, nil
		}
		return failed(req, errGroupDenied), nil
	}
}

// failed returns the answer to req that is nothing but an error. Where the answer has no field for one, it says nothing.
func failed(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind()
	v := reflect.ValueOf(resp).Elem()
	if f := v.FieldByName("ErrorCode"); f.IsValid() {
		f.SetInt(int64(code(err)))
	}
	if f := v.FieldByName("ErrorMessage"); f.IsValid() {
		f.Set(reflect.ValueOf(errorMessage(err)))
	}
	return resp
}

// split takes those out of all that are not ok. What is left is not nil, which in many requests means everything.
func split[T any](all []T, ok func(*T) bool) (left, taken []T) {
	left = all[:0:0]
	for i := range all {
		if ok(&all[i]) {
			left = append(left, all[i])
		} else {
			taken = append(taken, all[i])
		}
	}
	if left == nil {
		left = []T{}
	}
	return left, taken
}

// nameOf returns the name of a topic that a request names or gives the id of: "" if there is none of that id, which its handler tells.
func (s *Server) nameOf(ctx context.Context, name string, id [16]byte) string {
	if name != "" || id == [16]byte{} {
		return name
	}
	st, err := s.log.StreamByID(ctx, id)
	if err != nil {
		return ""
	}
	return string(st.Name)
}
