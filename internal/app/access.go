package app

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
)

// Access is one request to the node's API, of any protocol, when it has been answered: a line of its access log. It marshals to JSON.
type Access struct {
	Time      time.Time `json:"time"`
	Protocol  string    `json:"protocol"`  // kafka or aws
	Operation string    `json:"operation"` // as Fetch, or kinesis:PutRecords; "" if the request named none
	Status    string    `json:"status"`    // ok, or the protocol's name of the error
	Latency   float64   `json:"latency_ms"`
	BytesIn   int64     `json:"bytes_in"`
	BytesOut  int64     `json:"bytes_out"`
	Client    string    `json:"client"` // host:port
	Agent     string    `json:"agent"`  // client id or user agent, as the client says

	// Principal is who asked, as User:alice, where the protocol authenticates principals.
	Principal string `json:"principal,omitempty"`
}

const statusOK = "ok"

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func kafkaAccess(o *kafka.Observation) Access {
	a := Access{
		Time: o.Received, Protocol: "kafka", Operation: o.API, Status: kafkaStatus(o), Latency: milliseconds(o.Latency),
		BytesIn: int64(o.RequestBytes), BytesOut: int64(o.AnswerBytes), Agent: o.ClientID, Principal: o.Principal.String(),
	}
	if o.Peer != nil {
		a.Client = o.Peer.String()
	}
	return a
}

func kafkaStatus(o *kafka.Observation) string {
	if o.Err != nil {
		return "CONNECTION_CLOSED"
	}
	if o.ErrorCode == 0 {
		return statusOK
	}
	if known := kerr.TypedErrorForCode(o.ErrorCode); known != nil && known.Code == o.ErrorCode {
		return known.Message
	}
	return strconv.Itoa(int(o.ErrorCode))
}

func awsAccess(o *aws.Observation) Access {
	a := Access{
		Time: o.Started, Protocol: "aws", Operation: o.Operation, Status: awsStatus(o), Latency: milliseconds(o.Latency),
		BytesIn: o.BytesIn, BytesOut: o.BytesOut, Client: o.Client, Agent: o.UserAgent,
	}
	if o.Service != "" {
		a.Operation = o.Service + ":" + o.Operation
	}
	return a
}

func awsStatus(o *aws.Observation) string {
	switch {
	case o.ErrorCode != "":
		return o.ErrorCode
	case o.Status >= 300:
		return strconv.Itoa(o.Status)
	}
	return statusOK
}

// observer takes what the protocols observe to the metrics, the log and whoever else asked.
type observer struct {
	metrics *metrics
	logger  *slog.Logger
	tell    func(Access)
}

func newObserver(m *metrics, logger *slog.Logger, tell func(Access)) *observer {
	return &observer{metrics: m, logger: logger, tell: tell}
}

func (o *observer) kafka(observed kafka.Observation) {
	o.metrics.observeKafka(&observed)
	if o.wanted() {
		o.pass(kafkaAccess(&observed))
	}
}

func (o *observer) aws(observed aws.Observation) {
	o.metrics.observeAWS(&observed)
	if o.wanted() {
		o.pass(awsAccess(&observed))
	}
}

// wanted says whether anybody reads the access log.
func (o *observer) wanted() bool {
	return o.tell != nil || o.logger.Enabled(context.Background(), slog.LevelDebug)
}

func (o *observer) pass(a Access) {
	o.logger.Debug("request", "protocol", a.Protocol, "operation", a.Operation, "status", a.Status, "latency_ms", a.Latency,
		"bytes_in", a.BytesIn, "bytes_out", a.BytesOut, "client", a.Client, "agent", a.Agent, "principal", a.Principal)
	if o.tell != nil {
		o.tell(a)
	}
}
