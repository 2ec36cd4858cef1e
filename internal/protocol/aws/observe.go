package aws

import "time"

// Observation is one finished request, for metrics and access logs. It holds no payload and no secret.
type Observation struct {
	Service   string // e.g. kinesis; "" if the request could not be routed
	Operation string // e.g. PutRecords; "" if the request named none that the service has
	Region    string
	Account   string
	AccessKey string
	RequestID string
	Protocol  string // of HTTP, e.g. HTTP/1.1, HTTP/2.0
	Encoding  string // e.g. json-1.1, cbor-1.1, query
	Client    string // peer address
	UserAgent string
	Status    int    // HTTP status; a stream that failed half-way has 200 and an error code
	ErrorCode string // "" if none
	Started   time.Time
	Latency   time.Duration // until the answer was handed to the connection; for streams, until their end
	BytesIn   int64         // body as sent
	BytesOut  int64
}

func (x *exchange) observation() Observation {
	o := Observation{
		Region: x.call.Region, Account: x.call.Account, AccessKey: x.call.AccessKey, RequestID: x.id, Protocol: x.r.Proto,
		Client: x.r.RemoteAddr, UserAgent: x.r.UserAgent(), Status: x.status, ErrorCode: x.code, Started: x.started,
		Latency: x.door.config.Clock.Now().Sub(x.started), BytesIn: x.bytesIn, BytesOut: x.bytesOut,
	}
	if x.service != nil {
		o.Service = x.service.Model.Info.EndpointName
	}
	if x.modelled != nil {
		o.Operation = x.modelled.Name
	}
	if x.encoding != nil {
		o.Encoding = x.encoding.name
	}
	return o
}
