package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// Decode reads req, whose version is set, from the body of a request.
func Decode(req kmsg.Request, body []byte) error { return req.ReadFrom(body) }
