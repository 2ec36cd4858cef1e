package kafka_test

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// TestApacheKafkaRefusesAlike sends the same requests to an Apache Kafka, and wants the refusals that the table says. It runs if
// FRESHET_KAFKA_ACL_PEER is the address of a listener for super users, and FRESHET_KAFKA_ACL_PEER_SASL that of one where alice, with the
// password alice-secret, comes in by SASL PLAIN.
func TestApacheKafkaRefusesAlike(t *testing.T) {
	super, sasl := os.Getenv("FRESHET_KAFKA_ACL_PEER"), os.Getenv("FRESHET_KAFKA_ACL_PEER_SASL")
	if super == "" || sasl == "" {
		t.Skip("no Apache Kafka with ACLs is named")
	}
	root := dial(t, super)
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	ask[kmsg.Response](root, 5, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{topic}, TimeoutMillis: 10_000})
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
	id := ask[*kmsg.MetadataResponse](root, 12, meta).Topics[0].TopicID

	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"g"}
	eventually(t, "the coordinator", func() bool {
		ask[kmsg.Response](root, 4, find)
		fetch := &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g"}}}
		return ask[*kmsg.OffsetFetchResponse](root, 8, fetch).Groups[0].ErrorCode == 0
	})

	served := map[int16]bool{}
	for _, a := range kafka.APIs() {
		served[a.Key] = true
	}
	for i := range accesses {
		a := &accesses[i]
		if !served[a.key.Int16()] || a.key == kmsg.DeleteTopics && a.name == "by id" { // it names a topic twice, which Kafka looks at first
			continue
		}
		t.Run(fmt.Sprintf("%s v%d %s", a.key.Name(), a.version, a.name), func(t *testing.T) {
			for missing := -1; missing <= len(a.needs); missing++ {
				rights := slices.Clone(a.needs)
				switch {
				case missing == len(a.needs):
					rights = nil
				case missing >= 0:
					rights = slices.Delete(rights, missing, missing+1)
				}
				grantPeer(t, root, rights)
				req := a.key.Request()
				a.fill(req, id)
				got := codes(reflect.ValueOf(ask[kmsg.Response](asAlice(t, sasl), a.version, req)).Elem())
				t.Logf("with %v: %v", rights, got)
				refused := slices.DeleteFunc(slices.Clone(got), func(c int16) bool { return !slices.Contains(refusals, c) })
				if missing >= 0 && missing < len(a.needs) && !slices.Contains(refused, a.needs[missing].code) {
					t.Errorf("without %+v: %v", a.needs[missing], got)
				}
				if missing < 0 && len(refused) > 0 {
					t.Errorf("with all rights: %v", got)
				}
			}
		})
	}
}

func dial(t *testing.T, address string) *raw {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &raw{t: t, conn: conn}
}

// asAlice connects by SASL PLAIN.
func asAlice(t *testing.T, address string) *raw {
	r := dial(t, address)
	if resp := ask[*kmsg.SASLHandshakeResponse](r, 1, &kmsg.SASLHandshakeRequest{Mechanism: "PLAIN"}); resp.ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	if resp := ask[*kmsg.SASLAuthenticateResponse](r, 1, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00alice-secret")}); resp.ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	return r
}

// grantPeer makes rights all that alice has, and waits until the broker knows.
func grantPeer(t *testing.T, root *raw, rights []right) {
	t.Helper()
	all := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	ask[kmsg.Response](root, 2, &kmsg.DeleteACLsRequest{Filters: []kmsg.DeleteACLsRequestFilter{all}})
	create := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rights {
		b := r.binding("User:alice")
		create.Creations = append(create.Creations, kmsg.CreateACLsRequestCreation{
			ResourceType: kmsg.ACLResourceType(b.Resource), ResourceName: b.Name, ResourcePatternType: 3, Principal: b.Principal, Host: b.Host,
			Operation: kmsg.ACLOperation(b.Operation), PermissionType: 3,
		})
	}
	for _, r := range ask[*kmsg.CreateACLsResponse](root, 2, create).Results {
		if r.ErrorCode != 0 {
			t.Fatalf("%+v", r)
		}
	}
	eventually(t, "the broker to know the rights", func() bool {
		describe := &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
		n := 0
		for _, r := range ask[*kmsg.DescribeACLsResponse](root, 2, describe).Resources {
			n += len(r.ACLs)
		}
		return n == len(rights)
	})
}
