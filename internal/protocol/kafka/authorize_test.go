package kafka_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/state/memstate"
)

// The codes of refusals.
const (
	noTopic, noGroup, noCluster, noTransaction, noToken = 29, 30, 31, 53, 65
)

var refusals = []int16{noTopic, noGroup, noCluster, noTransaction, noToken}

// right is what a request needs, and the code of what is refused without it.
type right struct {
	op   acl.Operation
	kind acl.Resource
	name string
	code int16
}

func onTopic(topic string, op acl.Operation) right { return right{op, acl.Topic, topic, noTopic} }
func onGroup(op acl.Operation) right               { return right{op, acl.Group, "g", noGroup} }
func onCluster(op acl.Operation) right             { return right{op, acl.Cluster, acl.ClusterName, noCluster} }

func onTransaction(op acl.Operation) right { return right{op, acl.TransactionalID, "x", noTransaction} }

func (r right) binding(principal string) acl.Binding {
	return acl.Binding{
		Resource: r.kind, Pattern: acl.Literal, Name: r.name, Principal: principal, Host: acl.Wildcard, Operation: r.op, Permission: acl.Allow,
	}
}

// access is one request with the rights that it needs. Without any one of them something of it is refused, with all of them nothing is.
type access struct {
	key     kmsg.Key
	name    string // of the case, if there are several
	version int16
	fill    func(req kmsg.Request, id [16]byte) // id is topic t's
	needs   []right
}

func asks[Q kmsg.Request](f func(req Q)) func(kmsg.Request, [16]byte) {
	return func(req kmsg.Request, _ [16]byte) { f(req.(Q)) }
}

func asksID[Q kmsg.Request](f func(req Q, id [16]byte)) func(kmsg.Request, [16]byte) {
	return func(req kmsg.Request, id [16]byte) { f(req.(Q), id) }
}

// free are the requests that need no right.
var free = []kmsg.Key{
	kmsg.ApiVersions, kmsg.SASLHandshake, kmsg.SASLAuthenticate, kmsg.RenewDelegationToken, kmsg.ExpireDelegationToken,
	kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry,
	// Who sees what of their answers: see the tests of hidden topics, groups and transactions.
	kmsg.DescribeCluster, kmsg.ListGroups, kmsg.ListTransactions, kmsg.DescribeDelegationToken,
}

// authorizer returns a book and the change of a server's config that makes it the authorizer.
func authorizer(t *testing.T, config acl.Config) (*acl.Book, func(*kafka.Config)) {
	t.Helper()
	book, err := acl.Open(t.Context(), memstate.New(clock.Real()), config)
	if err != nil {
		t.Fatal(err)
	}
	return book, func(c *kafka.Config) { c.ACLs = book }
}

// reset makes rights all that everyone has.
func reset(t *testing.T, book *acl.Book, rights ...right) {
	t.Helper()
	book.Delete(t.Context(), []acl.Filter{acl.Every})
	var bindings []acl.Binding
	for _, r := range rights {
		bindings = append(bindings, r.binding(acl.Everyone))
	}
	if err := errors.Join(book.Create(t.Context(), bindings)...); err != nil {
		t.Fatal(err)
	}
}

// TestEveryRequestNeedsItsRights goes through all requests: whoever adds one says here what it needs.
func TestEveryRequestNeedsItsRights(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{Open: true})
	n := startGuarded(t, with)
	id := n.create(t, "t", 1, nil).ID
	for _, api := range kafka.APIs() {
		key := kmsg.Key(api.Key)
		if slices.Contains(free, key) {
			continue
		}
		tried := 0
		for i := range accesses {
			if a := &accesses[i]; a.key == key {
				tried++
				t.Run(fmt.Sprintf("%s v%d %s", key.Name(), a.version, a.name), func(t *testing.T) { a.try(t, n, book, id) })
			}
		}
		if tried == 0 {
			t.Errorf("%s has no row in accesses, nor is it among the free: say which rights it needs, and give it a rule in authorize_rules.go", key.Name())
		}
	}
}

func (a *access) try(t *testing.T, n *guarded, book *acl.Book, id [16]byte) {
	r := n.raw(t) // one connection: it remembers nothing that has changed
	r.login(t)
	send := func(rights []right) []int16 {
		// Everything else is somebody else's, so that nothing is open.
		reset(t, book, rights...)
		book.Create(t.Context(), closed)
		req := a.key.Request()
		a.fill(req, id)
		return codes(reflect.ValueOf(ask[kmsg.Response](r, a.version, req)).Elem())
	}
	refused := func(codes []int16) []int16 {
		return slices.DeleteFunc(slices.Clone(codes), func(c int16) bool { return !slices.Contains(refusals, c) })
	}
	for i := range a.needs {
		missing := slices.Delete(slices.Clone(a.needs), i, i+1)
		if got := refused(send(missing)); !slices.Contains(got, a.needs[i].code) {
			t.Errorf("without %+v refused with %d, want %d", a.needs[i], got, a.needs[i].code)
		}
	}
	if got := refused(send(a.needs)); len(got) > 0 {
		t.Errorf("refused with %d, with all rights", got)
	}
	if got := refused(send(nil)); len(got) == 0 {
		t.Error("served without any right")
	}
}

// closed are bindings for somebody else about every resource, so that none is open.
var closed = func() []acl.Binding {
	var all []acl.Binding
	for _, kind := range []acl.Resource{acl.Topic, acl.Group, acl.Cluster, acl.TransactionalID, acl.DelegationToken, acl.User} {
		r := right{op: acl.All, kind: kind, name: acl.Wildcard}
		if kind == acl.Cluster {
			r.name = acl.ClusterName
		}
		all = append(all, r.binding("User:nobody"))
	}
	return all
}()

// codes returns every error code in a response.
func codes(v reflect.Value) []int16 {
	var all []int16
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); strings.HasSuffix(v.Type().Field(i).Name, "ErrorCode") {
				all = append(all, int16(f.Int()))
			} else {
				all = append(all, codes(f)...)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, codes(v.Index(i))...)
		}
	}
	return all
}

func TestMetadataHidesTopics(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	root := right{acl.All, acl.Cluster, acl.ClusterName, 0}
	reset(t, book, root)
	seen, hidden := n.create(t, "seen", 1, nil), n.create(t, "hidden", 1, nil)
	reset(t, book, onTopic("seen", acl.Read), onTopic("wanted", acl.Describe), onTopic("made", acl.Create), onTopic("made", acl.Read))
	r := n.raw(t)
	all := ask[*kmsg.MetadataResponse](r, 12, kmsg.NewPtrMetadataRequest())
	if len(all.Topics) != 1 || *all.Topics[0].Topic != "seen" {
		t.Errorf("listed: %+v", all.Topics)
	}
	parts := ask[*kmsg.DescribeTopicPartitionsResponse](r, 0, &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10})
	if len(parts.Topics) != 1 || *parts.Topics[0].Topic != "seen" || parts.Topics[0].AuthorizedOperations != 1<<acl.Read|1<<acl.Describe {
		t.Errorf("described: %+v", parts.Topics)
	}
	named := kmsg.NewPtrMetadataRequest()
	named.AllowAutoTopicCreation = true
	for _, name := range []string{"seen", "hidden", "none", "wanted", "made"} {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		named.Topics = append(named.Topics, topic)
	}
	got := map[string]kmsg.MetadataResponseTopic{}
	for _, topic := range ask[*kmsg.MetadataResponse](r, 12, named).Topics {
		got[*topic.Topic] = topic
	}
	for name, want := range map[string]int16{"seen": 0, "hidden": noTopic, "none": noTopic, "wanted": noTopic, "made": 0} {
		if got[name].ErrorCode != want {
			t.Errorf("%s: error %d, want %d", name, got[name].ErrorCode, want)
		}
	}
	if got["hidden"].TopicID != [16]byte{} || len(got["hidden"].Partitions) > 0 || got["seen"].TopicID != seen.ID {
		t.Errorf("ids told: %+v", got)
	}
	byID := kmsg.NewPtrMetadataRequest()
	byID.Topics = []kmsg.MetadataRequestTopic{{TopicID: hidden.ID}}
	if told := ask[*kmsg.MetadataResponse](r, 12, byID).Topics; told[0].ErrorCode != noTopic || told[0].Topic != nil || told[0].TopicID != hidden.ID {
		t.Errorf("by id: %+v", told)
	}
}

func TestAuthorizedOperationsAreTold(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	reset(t, book, right{acl.Create, acl.Cluster, acl.ClusterName, 0})
	n.create(t, "t", 1, nil)
	reset(t, book, onTopic("t", acl.Alter), onTopic("t", acl.AlterConfigs), onGroup(acl.Delete), onCluster(acl.IdempotentWrite))
	r := n.raw(t)
	meta := kmsg.NewPtrMetadataRequest()
	meta.IncludeTopicAuthorizedOperations, meta.IncludeClusterAuthorizedOperations = true, true
	m := ask[*kmsg.MetadataResponse](r, 10, meta)
	if want := int32(1<<acl.Alter | 1<<acl.AlterConfigs | 1<<acl.Describe | 1<<acl.DescribeConfigs); m.Topics[0].AuthorizedOperations != want {
		t.Errorf("topic: %b, want %b", m.Topics[0].AuthorizedOperations, want)
	}
	if m.AuthorizedOperations != 0 {
		t.Errorf("cluster that the client may not describe: %b", m.AuthorizedOperations)
	}
	groups := &kmsg.DescribeGroupsRequest{Groups: []string{"g"}, IncludeAuthorizedOperations: true}
	if got, want := ask[*kmsg.DescribeGroupsResponse](r, 5, groups).Groups[0].AuthorizedOperations, int32(1<<acl.Delete|1<<acl.Describe); got != want {
		t.Errorf("group: %b, want %b", got, want)
	}
	reset(t, book, onCluster(acl.Describe), onCluster(acl.IdempotentWrite))
	describe := &kmsg.DescribeClusterRequest{IncludeClusterAuthorizedOperations: true}
	if got, want := ask[*kmsg.DescribeClusterResponse](r, 0, describe).ClusterAuthorizedOperations, int32(1<<acl.Describe|1<<acl.IdempotentWrite); got != want {
		t.Errorf("cluster: %b, want %b", got, want)
	}
}

func TestListGroupsHidesGroups(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	r := n.raw(t)
	reset(t, book, right{acl.Create, acl.Cluster, acl.ClusterName, 0}, right{acl.Read, acl.Group, acl.Wildcard, 0}, onTopic("t", acl.Read))
	n.create(t, "t", 1, nil)
	for _, id := range []string{"g", "h"} {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Group, commit.Generation = id, -1
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 0}}}}
		if got := codes(reflect.ValueOf(ask[kmsg.Response](r, 8, commit)).Elem()); !slices.Equal(got, []int16{0}) {
			t.Fatal(got)
		}
	}
	list := func(rights ...right) (ids []string) {
		reset(t, book, rights...)
		for _, g := range ask[*kmsg.ListGroupsResponse](r, 4, kmsg.NewPtrListGroupsRequest()).Groups {
			ids = append(ids, g.Group)
		}
		return ids
	}
	if got := list(onCluster(acl.Describe)); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("who may describe the cluster sees %q", got)
	}
	if got := list(onGroup(acl.Read)); !slices.Equal(got, []string{"g"}) {
		t.Errorf("who may read g sees %q", got)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("who may nothing sees %q", got)
	}
	all := kmsg.NewPtrOffsetFetchRequest()
	all.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g"}}
	reset(t, book, onGroup(acl.Describe))
	if got := ask[*kmsg.OffsetFetchResponse](r, 8, all).Groups[0]; got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("all offsets of a group, none of whose topics is the client's to see: %+v", got)
	}
	reset(t, book, onGroup(acl.Describe), onTopic("t", acl.Describe))
	if got := ask[*kmsg.OffsetFetchResponse](r, 8, all).Groups[0]; len(got.Topics) != 1 {
		t.Errorf("all offsets of a group: %+v", got)
	}
}

func TestDeleteTopicsHidesWhetherThereIsATopic(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	reset(t, book, onCluster(acl.Create))
	n.create(t, "t", 1, nil)
	r := n.raw(t)
	for _, row := range []struct {
		name   string
		rights []right
		want   int16
	}{
		{"t", nil, noTopic},
		{"none", nil, noTopic},
		{"t", []right{onTopic("t", acl.Describe)}, noTopic},
		{"none", []right{onTopic("none", acl.Describe)}, kerr.UnknownTopicOrPartition.Code},
		{"none", []right{onTopic("none", acl.Delete)}, kerr.UnknownTopicOrPartition.Code},
	} {
		reset(t, book, row.rights...)
		got := ask[*kmsg.DeleteTopicsResponse](r, 5, &kmsg.DeleteTopicsRequest{TopicNames: []string{row.name}}).Topics
		if len(got) != 1 || got[0].ErrorCode != row.want {
			t.Errorf("%s with %+v: %+v, want %d", row.name, row.rights, got, row.want)
		}
	}
}

// Kafka's admin client fails the partitions that it finds in the answer.
func TestRefusedReassignmentsNameTheirPartitions(t *testing.T) {
	t.Parallel()
	_, with := authorizer(t, acl.Config{})
	resp := ask[*kmsg.AlterPartitionAssignmentsResponse](start(t, with).raw(t), 0, &kmsg.AlterPartitionAssignmentsRequest{
		Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 3}}}},
	})
	if resp.ErrorCode != noCluster || len(resp.Topics) != 1 || resp.Topics[0].Topic != "t" || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v", resp)
	}
	if p := resp.Topics[0].Partitions[0]; p.Partition != 3 || p.ErrorCode != noCluster {
		t.Errorf("%+v", p)
	}
}

func TestCreateTopicsHidesConfigs(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	r := start(t, with).raw(t)
	create := func(name string) kmsg.CreateTopicsResponseTopic {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 1
		return ask[*kmsg.CreateTopicsResponse](r, 7, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{topic}}).Topics[0]
	}
	reset(t, book, onTopic("a", acl.Create))
	if got := create("a"); got.ErrorCode != 0 || got.ConfigErrorCode != noTopic || got.NumPartitions != -1 || len(got.Configs) > 0 || got.TopicID == [16]byte{} {
		t.Errorf("without the right to describe configs: %+v", got)
	}
	reset(t, book, onCluster(acl.Create), onTopic("b", acl.DescribeConfigs))
	if got := create("b"); got.ErrorCode != 0 || got.ConfigErrorCode != 0 || got.NumPartitions != 2 || len(got.Configs) == 0 {
		t.Errorf("with it: %+v", got)
	}
}

// TestIdempotentProducers shows both ways to the right to be one.
func TestIdempotentProducers(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	r := start(t, with).raw(t)
	for _, row := range []struct {
		rights []right
		want   int16
	}{
		{nil, noCluster},
		{[]right{onCluster(acl.IdempotentWrite)}, 0},
		{[]right{onTopic("any", acl.Write)}, 0},
		{[]right{onTopic("any", acl.Read)}, noCluster},
	} {
		reset(t, book, row.rights...)
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = -1, -1
		if got := ask[*kmsg.InitProducerIDResponse](r, 4, req); got.ErrorCode != row.want || (got.ProducerID >= 0) != (row.want == 0) {
			t.Errorf("%+v: %+v", row.rights, got)
		}
	}
}

// TestRevokedReadEndsASession revokes what a fetch session reads while it has nothing to read.
func TestRevokedReadEndsASession(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	reset(t, book, onCluster(acl.Create), onTopic("t", acl.Read))
	id := n.create(t, "t", 1, nil).ID
	r := n.raw(t)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxBytes, fetch.SessionEpoch = 1<<20, 0
	fetch.Topics = []kmsg.FetchRequestTopic{{TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, PartitionMaxBytes: 1 << 20}}}}
	first := ask[*kmsg.FetchResponse](r, 13, fetch)
	if first.SessionID == 0 || len(first.Topics) != 1 || first.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", first)
	}
	next := func(epoch int32) *kmsg.FetchResponse {
		again := kmsg.NewPtrFetchRequest()
		again.MaxBytes, again.SessionID, again.SessionEpoch = 1<<20, first.SessionID, epoch
		return ask[*kmsg.FetchResponse](r, 13, again)
	}
	if got := next(1); len(got.Topics) != 0 {
		t.Fatalf("nothing is new: %+v", got)
	}
	reset(t, book)
	if got := next(2); len(got.Topics) != 1 || got.Topics[0].Partitions[0].ErrorCode != noTopic {
		t.Errorf("revoked: %+v", got)
	}
	reset(t, book, onTopic("t", acl.Read))
	if got := next(3); len(got.Topics) != 1 || got.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("granted again: %+v", got)
	}
}
