// Command telemetry judges with franz-go what becomes of the metrics that it pushes of itself (KIP-714).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/interop/go/judge"
)

var subscription, clientID = judge.Prefix + "sub", judge.Prefix + "client"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin, err := kgo.NewClient(kgo.SeedBrokers(judge.Kafka))
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	judge.Run("subscribed", func() (string, error) { return subscribed(ctx, admin) })
	judge.Run("pushed", func() (string, error) { return pushed(ctx) })
	judge.Run("unsubscribed", func() (string, error) { return unsubscribed(ctx, admin) })
}

// alter changes configs of the subscription: by key.
func alter(ctx context.Context, cl *kgo.Client, op kmsg.IncrementalAlterConfigOp, settings map[string]string) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, subscription
	for key, value := range settings {
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: op, Value: &value})
	}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}

func listed(ctx context.Context, cl *kgo.Client) (bool, error) {
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.ConfigResources, func(r kmsg.ListConfigResourcesResponseConfigResource) bool { return r.Name == subscription }),
		kerr.ErrorForCode(resp.ErrorCode)
}

func subscribed(ctx context.Context, cl *kgo.Client) (string, error) {
	if err := alter(ctx, cl, kmsg.IncrementalAlterConfigOpSet, map[string]string{"metrics": "*", "interval.ms": "1000", "match": "client_id=" + clientID}); err != nil {
		return "", err
	}
	if err := alter(ctx, cl, kmsg.IncrementalAlterConfigOpSet, map[string]string{"match": "nobody=x"}); !errors.Is(err, kerr.InvalidConfig) {
		return "", fmt.Errorf("a match of nothing: %v", err)
	}
	found, err := listed(ctx, cl)
	if err == nil {
		err = judge.Expect(found, true, "listed")
	}
	return "set, refused, listed", err
}

func pushed(ctx context.Context) (string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(judge.Kafka), kgo.ClientID(clientID), kgo.AllowAutoTopicCreation())
	if err != nil {
		return "", err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: judge.Prefix + "pushed", Value: []byte("x")}).FirstErr(); err != nil {
			return "", err
		}
		mine, err := series(ctx)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(mine, func(line string) bool {
			return strings.HasPrefix(line, "freshet_kafka_client_producer_connection_creation_total")
		}) {
			return fmt.Sprint(len(mine), " series of the client"), nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return "", errors.New("nothing is shown")
}

// series are the lines of the server's page of metrics that are the client's.
func series(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("AWS_ENDPOINT_URL")+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(page), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, `client_id="`+clientID+`"`) }), nil
}

func unsubscribed(ctx context.Context, cl *kgo.Client) (string, error) {
	if err := alter(ctx, cl, kmsg.IncrementalAlterConfigOpDelete, map[string]string{"metrics": "", "interval.ms": "", "match": ""}); err != nil {
		return "", err
	}
	found, err := listed(ctx, cl)
	if err == nil {
		err = judge.Expect(found, false, "listed")
	}
	return "deleted", err
}
