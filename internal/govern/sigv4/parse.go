package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Algorithm is the only one understood.
const Algorithm = "AWS4-HMAC-SHA256"

// Signature is what a request says about its signer.
type Signature struct {
	AccessKey     string
	Date          string // of the credential scope, YYYYMMDD
	Region        string
	Service       string
	SignedHeaders []string // lower case, as listed
	Hex           string   // the signature proper
	Time          string   // X-Amz-Date, YYYYMMDDThhmmssZ, or the Date header
	SessionToken  string
	Presigned     bool
	Expires       time.Duration // of a presigned request

	at         time.Time
	credential string // as given
	terminator string // of the credential scope
}

// maxHeader bounds the Authorization header that is looked at; real ones have some hundred bytes.
const maxHeader = 8 << 10

// Scope returns what a request claims about its signer without judging it, for routing: region, service and access key are "" if unknown.
func Scope(r *http.Request) (accessKey, region, service string) {
	credential := ""
	if h := r.Header.Get("Authorization"); h != "" && len(h) <= maxHeader {
		if _, rest, ok := strings.Cut(h, "Credential="); ok {
			credential, _, _ = strings.Cut(rest, ",")
		}
	} else if r.URL.RawQuery != "" {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) < 5 {
		return "", "", ""
	}
	n := len(parts)
	return strings.Join(parts[:n-4], "/"), parts[n-3], parts[n-2]
}

// Parse returns the request's signature, or a *Fault when parts of it are missing. Its credential is not judged yet: see WellFormed and Admit.
func Parse(r *http.Request) (*Signature, error) {
	header := r.Header.Get("Authorization")
	var query url.Values
	if r.URL.RawQuery != "" {
		query = r.URL.Query()
	}
	inQuery := query.Has("X-Amz-Algorithm")
	switch {
	case header != "" && inQuery:
		return nil, &Fault{Ambiguous, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."}
	case inQuery:
		return parseQuery(query)
	case header == "":
		return nil, &Fault{Missing, "Request is missing Authentication Token"}
	}
	return parseHeader(r, header)
}

func parseHeader(r *http.Request, header string) (*Signature, error) {
	if len(header) > maxHeader {
		return nil, &Fault{Incomplete, fmt.Sprintf("Authorization header is longer than %d bytes.", maxHeader)}
	}
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	parts := map[string]string{}
	for _, part := range strings.FieldsFunc(rest, func(c rune) bool { return c == ',' || c == ' ' }) {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	s := &Signature{Hex: parts["Signature"], Time: r.Header.Get("X-Amz-Date"), SessionToken: r.Header.Get("X-Amz-Security-Token")}
	var missing strings.Builder
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			missing.WriteString("Authorization header requires '" + name + "' parameter. ")
		}
	}
	if s.Time == "" && r.Header.Get("Date") == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return nil, &Fault{Incomplete, missing.String() + "Authorization=" + header}
	}
	if algorithm != Algorithm { // looked at last, as AWS does: of "X" the parts are missing
		return nil, &Fault{Incomplete, unsupported(algorithm) + "Authorization=" + header}
	}
	if err := s.setTime(r.Header.Get("Date")); err != nil {
		return nil, err
	}
	s.setScope(parts["Credential"], parts["SignedHeaders"])
	return s, nil
}

func unsupported(algorithm string) string {
	return "Unsupported AWS 'algorithm': '" + algorithm + "' (only " + Algorithm + " for now). "
}

func parseQuery(query url.Values) (*Signature, error) {
	var missing strings.Builder
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if query.Get(name) == "" {
			missing.WriteString("AWS query-string parameters must include '" + name + "'. ")
		}
	}
	if missing.Len() > 0 {
		return nil, &Fault{Incomplete, missing.String() + "Re-examine the query-string parameters."}
	}
	if a := query.Get("X-Amz-Algorithm"); a != Algorithm {
		return nil, &Fault{Incomplete, unsupported(a) + "Re-examine the query-string parameters."}
	}
	s := &Signature{
		Hex: query.Get("X-Amz-Signature"), Time: query.Get("X-Amz-Date"), SessionToken: query.Get("X-Amz-Security-Token"),
		Presigned: true, Expires: defaultExpiry,
	}
	if text := query.Get("X-Amz-Expires"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		d := time.Duration(seconds) * time.Second
		if err != nil || d > maxExpiry {
			return nil, &Fault{Incomplete, fmt.Sprintf("X-Amz-Expires must be a number of seconds between 0 and %d.", int(maxExpiry.Seconds()))}
		}
		s.Expires = d
	}
	if err := s.setTime(""); err != nil {
		return nil, err
	}
	s.setScope(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"))
	return s, nil
}

// Lifetimes of presigned requests.
const (
	defaultExpiry = 15 * time.Minute
	maxExpiry     = 7 * 24 * time.Hour
)

const timeLayout = "20060102T150405Z"

func (s *Signature) setTime(dateHeader string) error {
	if s.Time != "" {
		at, err := time.Parse(timeLayout, s.Time)
		if err != nil {
			return &Fault{Incomplete, "Date must be in ISO-8601 'basic format'. Got '" + s.Time + "'. See http://en.wikipedia.org/wiki/ISO_8601"}
		}
		s.at = at
		return nil
	}
	at, err := http.ParseTime(dateHeader)
	if err != nil {
		if at, err = time.Parse(timeLayout, dateHeader); err != nil {
			return &Fault{Incomplete, "Date must be in ISO-8601 'basic format'. Got '" + dateHeader + "'. See http://en.wikipedia.org/wiki/ISO_8601"}
		}
	}
	s.at, s.Time = at, at.UTC().Format(timeLayout)
	return nil
}

// setScope takes the credential apart as far as it can.
func (s *Signature) setScope(credential, signedHeaders string) {
	s.credential, s.SignedHeaders = credential, strings.Split(signedHeaders, ";")
	parts := strings.Split(credential, "/")
	// An access key may hold slashes; the four parts behind it may not.
	if n := len(parts); n >= 5 {
		s.AccessKey, s.Date, s.Region, s.Service, s.terminator = strings.Join(parts[:n-4], "/"), parts[n-4], parts[n-3], parts[n-2], parts[n-1]
	}
}
