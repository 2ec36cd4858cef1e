package aws

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// testMSK echoes what its operations were asked.
func testMSK() Service {
	return Service{
		Model:   kafka.Model,
		Refused: map[string]string{"CreateReplicator": "test"},
		Ledger: Ledger{
			"CreateTopic.clusterArn": Enforced, "CreateTopic.topicName": Enforced, "CreateTopic.partitionCount": Enforced,
			"CreateTopic.replicationFactor": Enforced, "CreateTopic.configs": Refused("test"),
		},
		Operations: []Operation{
			Handle("CreateTopic", func(_ context.Context, _ *Call, in *kafka.CreateTopicRequest) (*kafka.CreateTopicResponse, error) {
				if *in.TopicName == "broken" {
					return nil, errors.New("secret detail")
				}
				return &kafka.CreateTopicResponse{TopicArn: in.ClusterArn, TopicName: in.TopicName}, nil
			}),
			Handle("DescribeConfigurationRevision", func(_ context.Context, _ *Call, in *kafka.DescribeConfigurationRevisionRequest) (*kafka.DescribeConfigurationRevisionResponse, error) {
				return &kafka.DescribeConfigurationRevisionResponse{
					Arn: in.Arn, Revision: in.Revision, CreationTime: new(time.UnixMilli(1700000000120)), ServerProperties: []byte("a=b"),
				}, nil
			}),
			Handle("ListTopics", func(_ context.Context, _ *Call, in *kafka.ListTopicsRequest) (*kafka.ListTopicsResponse, error) {
				return &kafka.ListTopicsResponse{Topics: []kafka.TopicInfo{{TopicArn: in.ClusterArn, TopicName: in.NextToken, PartitionCount: in.MaxResults}}}, nil
			}),
			Handle("UntagResource", func(_ context.Context, _ *Call, in *kafka.UntagResourceRequest) (*None, error) {
				return &None{}, Errorf(kafka.ErrNotFound, "%s %q", *in.ResourceArn, in.TagKeys)
			}),
			Handle("TagResource", func(_ context.Context, _ *Call, _ *kafka.TagResourceRequest) (*None, error) { return &None{}, nil }),
		},
	}
}

func restRequest(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost:4566"+path, strings.NewReader(body))
	r.Header.Set("Authorization", strings.Replace(wellFormed, "kinesis", "kafka", 1))
	r.Header.Set("X-Amz-Date", "20261121T083000Z")
	return r
}

func restDoor(t testing.TB) *FrontDoor {
	return testDoor(t, func(c *Config) { c.Services = []Service{testKinesis(), testMSK()} })
}

func TestRestRequestsAndAnswers(t *testing.T) {
	const cluster = "/v1/clusters/arn%3Aaws%3Akafka%3Aeu%3A1%3Acluster%2Fa%2Fb-2"
	for _, c := range []struct {
		name   string
		r      *http.Request
		status int
		code   string
		body   string
	}{
		{
			"path and body", restRequest("POST", cluster+"/topics", `{"topicName":"t","partitionCount":1,"replicationFactor":3,"clusterArn":"other","more":[{}]}`),
			200, "", `{"topicArn":"arn:aws:kafka:eu:1:cluster/a/b-2","topicName":"t"}`,
		},
		{
			"number in the path, blob and time", restRequest("GET", "/v1/configurations/x%20y/revisions/7", "ignored"),
			200, "", `{"arn":"x y","creationTime":"2023-11-14T22:13:20.120Z","revision":7,"serverProperties":"YT1i"}`,
		},
		{
			"query", restRequest("GET", cluster+"/topics?maxResults=5&nextToken=a%2Bb+c", ""),
			200, "", `{"topics":[{"topicArn":"arn:aws:kafka:eu:1:cluster/a/b-2","topicName":"a+b c","partitionCount":5}]}`,
		},
		{"list in the query", restRequest("DELETE", "/v1/tags/r?tagKeys=a&tagKeys=b%20c", ""), 404, "NotFoundException", `{"message":"r [\"a\" \"b c\"]"}`},
		{"no output", restRequest("POST", "/v1/tags/r", `{"tags":{"a":"b"}}`), 204, "", ""},
		{
			"absent", restRequest("POST", cluster+"/topics", ""), 400, "BadRequestException",
			`{"invalidParameter":"topicName","message":"3 validation errors detected: Value null at 'topicName' failed to satisfy constraint: Member must not be null; ` +
				`Value null at 'partitionCount' failed to satisfy constraint: Member must not be null; Value null at 'replicationFactor' failed to satisfy constraint: Member must not be null"}`,
		},
		{
			"out of range", restRequest("GET", cluster+"/topics?maxResults=101", ""), 400, "BadRequestException",
			`{"invalidParameter":"maxResults","message":"1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100"}`,
		},
		{
			"no number", restRequest("GET", "/v1/configurations/x/revisions/one", ""), 400, "BadRequestException",
			`{"message":"Invalid request: revision: 'one' can not be converted to an Long"}`,
		},
		{"no JSON", restRequest("POST", "/v1/tags/r", `{"tags":`), 400, "BadRequestException", `{"message":"Invalid request body"}`},
		{"bad query", restRequest("GET", cluster+"/topics?maxResults=%zz", ""), 400, "BadRequestException", `{"message":"Invalid request: the query is malformed"}`},
		{
			"refused member", restRequest("POST", cluster+"/topics", `{"topicName":"t","partitionCount":1,"replicationFactor":3,"configs":"e30="}`), 400, "BadRequestException",
			`{"invalidParameter":"configs","message":"configs is not supported by freshet: test."}`,
		},
		{
			"not served", restRequest("POST", "/replication/v1/replicators", "{"), 400, "UnknownOperationException",
			`{"message":"The operation CreateReplicator of Kafka is not implemented by freshet: test."}`,
		},
		{"no such path", restRequest("GET", "/v1/cluster", ""), 404, "UnknownOperationException", `{"message":"GET /v1/cluster is no operation of the API Kafka."}`},
		{"empty variable", restRequest("GET", "/v1/clusters//topics", ""), 404, "UnknownOperationException", `{"message":"GET /v1/clusters//topics is no operation of the API Kafka."}`},
		{"no such method", restRequest("PATCH", "/v1/tags/r", ""), 404, "UnknownOperationException", `{"message":"PATCH /v1/tags/r is no operation of the API Kafka."}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := do(restDoor(t), c.r)
			if status != c.status || body != c.body || header.Get("X-Amzn-Errortype") != c.code || header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %s\n%s", status, header.Get("X-Amzn-Errortype"), header.Get("Content-Type"), body)
			}
		})
	}
}

func TestRestFaultsOfTheServerAndOfSignatures(t *testing.T) {
	f := restDoor(t)
	status, body, header := do(f, restRequest("POST", "/v1/clusters/c/topics", `{"topicName":"broken","partitionCount":1,"replicationFactor":3}`))
	if status != 500 || header.Get("X-Amzn-Errortype") != "InternalServerErrorException" || strings.Contains(body, "secret") {
		t.Errorf("%d %s %s", status, header.Get("X-Amzn-Errortype"), body)
	}
	unsigned := restRequest("GET", "/v1/clusters/c/topics", "")
	unsigned.Header.Del("Authorization")
	status, body, header = do(f, unsigned)
	if status != 403 || header.Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" || body != `{"message":"Missing Authentication Token"}` {
		t.Errorf("%d %s %s", status, header.Get("X-Amzn-Errortype"), body)
	}
	verifying := testDoor(t, func(c *Config) { c.Services, c.Auth = []Service{testMSK()}, Auth{Verify: true} })
	status, _, header = do(verifying, restRequest("GET", "/v1/clusters/c/topics", ""))
	if status != 403 || header.Get("X-Amzn-Errortype") != "UnrecognizedClientException" {
		t.Errorf("%d %s", status, header.Get("X-Amzn-Errortype"))
	}
}

// Each operation of the model is found by the path that a client makes of its template, and by no other operation's.
func TestEveryRestOperationIsRouted(t *testing.T) {
	f := restDoor(t)
	for _, op := range kafka.Model.Operations {
		path := strings.ReplaceAll(strings.ReplaceAll(op.Path, "{", "%7B"), "}", "%2F")
		to := f.routeByHeader(restRequest(op.Method, path, ""))
		if to.operationName != op.Name || to.modelled == nil {
			t.Errorf("%s %s is routed to %q", op.Method, path, to.operationName)
		}
		for name, value := range to.variables {
			if value != "{"+name+"/" {
				t.Errorf("%s: %s is %q", op.Name, name, value)
			}
		}
	}
}

func TestRoutesPreferWhatSaysMore(t *testing.T) {
	routes := restRoutes(shape.NewModel(shape.Info{Protocols: []shape.Protocol{shape.RestJSON}}, []shape.Operation{
		{Name: "All", Method: "GET", Path: "/{key+}"},
		{Name: "One", Method: "GET", Path: "/a/{x}?query"},
		{Name: "Middle", Method: "GET", Path: "/b/{key+}/c/{x}"},
		{Name: "Literal", Method: "GET", Path: "/a/b"},
	}, nil, nil))
	for path, want := range map[string]string{
		"a/b": "Literal", "a/c": "One x=c", "a/b/c": "All key=a/b/c", "b/1/2/c/3": "Middle key=1/2 x=3", "b/c/3": "All key=b/c/3", "b/1/c/3": "Middle key=1 x=3", "": "",
	} {
		got := ""
		for i := range routes {
			variables, ok := routes[i].match(strings.Split(path, "/"))
			if !ok {
				continue
			}
			got = routes[i].operation.Name
			for _, name := range []string{"key", "x"} {
				if value, ok := variables[name]; ok {
					got += " " + name + "=" + value
				}
			}
			break
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

func TestRefusedOperationsMustBeUnserved(t *testing.T) {
	for _, name := range []string{"CreateTopic", "Nope"} {
		s := testMSK()
		s.Refused = map[string]string{name: "test"}
		if _, err := New(Config{Services: []Service{s}, Clock: restDoor(t).config.Clock, Random: strings.NewReader(strings.Repeat("x", 100))}); err == nil {
			t.Errorf("%s can be refused", name)
		}
	}
}

// FuzzRest feeds what a stranger decides of a rest request to the front door. What is accepted is answered with JSON, everything else is the
// stranger's fault.
func FuzzRest(f *testing.F) {
	f.Add("POST", "/v1/clusters/arn%3Aaws%3Akafka/topics", `{"topicName":"t","partitionCount":1,"replicationFactor":3}`)
	f.Add("GET", "/v1/clusters/c/topics?maxResults=5&nextToken=a%2Bb", "")
	f.Add("DELETE", "/v1/tags/r?tagKeys=a&tagKeys=%zz", "")
	f.Add("GET", "/v1/configurations/x/revisions/9223372036854775808", "{")
	f.Add("PATCH", "/v1/clusters/c/security//", "")
	door := testDoor(f, func(c *Config) {
		c.Log = slog.New(slog.DiscardHandler)
		c.Services = []Service{testMSK()}
	})
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			return
		}
		sent := restRequest(http.MethodPost, "/", body)
		r.Body, r.ContentLength, r.Header = sent.Body, sent.ContentLength, sent.Header
		status, answer, header := do(door, r)
		broken := status == http.StatusInternalServerError && strings.Contains(answer, "log has the reason") // as one operation answers
		if status >= 500 && !broken && status != http.StatusNotImplemented {
			t.Errorf("%d %s", status, answer)
		}
		if header.Get("Content-Type") == "application/json" && status != http.StatusNoContent && !json.Valid([]byte(answer)) {
			t.Errorf("%d %q", status, answer)
		}
		if !door.budget.unused() {
			t.Fatal("memory was not given back")
		}
	})
}
