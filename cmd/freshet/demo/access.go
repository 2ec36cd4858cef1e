package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/app"
)

// shipper is the client id of the access log's own producer. Its requests are not logged: a log of logging would never end.
const shipper = "freshet-demo-access-log"

// accessLine is an event of the access stream. Its partition key is the client: its address and name, so that its requests stay in order.
type accessLine struct {
	Sent time.Time `json:"sent"`
	app.Access
}

// client tells a client from others: by its machine and the name of its software.
func (l *accessLine) client() string {
	host, _, err := net.SplitHostPort(l.Client)
	if err != nil {
		host = l.Client
	}
	name, _, _ := strings.Cut(l.Agent, " ")
	return host + " " + name
}

// observe is called by the node with each request, and must not block it.
func (d *demo) observe(a app.Access) {
	if a.Agent == shipper {
		return
	}
	select {
	case d.lines <- a:
	default:
		d.lost.Add(1)
	}
}

// ship puts the access log into its stream through the Kafka protocol, until ctx ends.
func (d *demo) ship(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(d.at.Kafka), kgo.ClientID(shipper), kgo.DefaultProduceTopic(accessStream), kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedRecords(maxPending),
	)
	if err != nil {
		return fmt.Errorf("kafka producer: %w", err)
	}
	defer client.Close()
	for {
		select {
		case <-ctx.Done():
			return d.flush(ctx, client)
		case a := <-d.lines:
			line := accessLine{Sent: time.Now(), Access: a}
			value, err := json.Marshal(line)
			if err != nil {
				return fmt.Errorf("encode access line: %w", err)
			}
			record := &kgo.Record{Key: []byte(line.client()), Value: value}
			client.Produce(context.WithoutCancel(ctx), record, func(r *kgo.Record, err error) {
				if err != nil {
					d.lost.Add(1)
					d.logger.Warn("produce", "topic", accessStream, "error", err)
					return
				}
				d.access.wrote(len(r.Value))
			})
		}
	}
}

// flush gives the last lines a moment to be acknowledged.
func (d *demo) flush(ctx context.Context, client *kgo.Client) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := client.Flush(ctx); err != nil {
		d.logger.Warn("flush", "topic", accessStream, "error", err)
	}
	return nil
}
