package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How far a request's time may be from ours.
const (
	maxAge   = 15 * time.Minute
	maxAhead = 5 * time.Minute
)

// authority is the name under which the JavaScript SDK signs the host of an HTTP/2 request.
const authority = ":authority"

// WellFormed checks the form of the credential, and nothing of what it claims. It returns a *Fault, or nil.
func (s *Signature) WellFormed() error {
	if err := s.checkForm(); err != nil {
		return err
	}
	if fault := s.terminatorFault(); fault != "" {
		return &Fault{Invalid, fault}
	}
	return nil
}

// Admit checks what needs no secret, and what AWS looks at before it asks whose key it is, in AWS's order: the time, that the host and the headers
// that decide what is asked are signed, and that the credential is for service, the name that the service signs with. It returns a *Fault, or nil.
func (s *Signature) Admit(r *http.Request, now time.Time, service string) error {
	if err := s.checkTime(now.UTC()); err != nil {
		return err
	}
	if !slices.Contains(s.SignedHeaders, "host") && !slices.Contains(s.SignedHeaders, authority) {
		return unsigned("Host")
	}
	for _, name := range []string{"X-Amz-Target", "X-Amz-Security-Token"} {
		if r.Header.Get(name) != "" && !slices.Contains(s.SignedHeaders, strings.ToLower(name)) {
			return unsigned(name)
		}
	}
	if err := s.checkForm(); err != nil {
		return err
	}
	var faults []string
	if s.Service != service {
		faults = append(faults, "Credential should be scoped to correct service: '"+service+"'.")
	}
	if fault := s.terminatorFault(); fault != "" {
		faults = append(faults, fault)
	}
	if day := s.at.UTC().Format("20060102"); s.Date != day {
		faults = append(faults, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", s.Date, day, s.Time))
	}
	if faults != nil {
		return &Fault{Invalid, strings.Join(faults, " ")}
	}
	return nil
}

func unsigned(header string) error {
	return &Fault{Invalid, "'" + header + "' must be a 'SignedHeader' in the AWS Authorization."}
}

func (s *Signature) checkForm() error {
	if s.AccessKey == "" || s.Region == "" || s.Service == "" {
		return &Fault{Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + s.credential + "'"}
	}
	return nil
}

const terminator = "aws4_request"

func (s *Signature) terminatorFault() string {
	if s.terminator == terminator {
		return ""
	}
	return "Credential should be scoped with a valid terminator: '" + terminator + "', not '" + s.terminator + "'."
}

// Verify checks the signature, which must have been admitted, against the secret and the body's bytes as they were sent. It returns a *Fault, or nil.
func (s *Signature) Verify(r *http.Request, secret string, body []byte) error {
	canonical := s.canonicalRequest(r, body)
	hash := sha256.Sum256([]byte(canonical))
	scope := s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
	toSign := Algorithm + "\n" + s.Time + "\n" + scope + "\n" + hex.EncodeToString(hash[:])

	key := mac([]byte("AWS4"+secret), s.Date)
	for _, part := range []string{s.Region, s.Service, terminator} {
		key = mac(key, part)
	}
	if hmac.Equal([]byte(hex.EncodeToString(mac(key, toSign))), []byte(s.Hex)) {
		return nil
	}
	return &Fault{Invalid, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
		"and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'" +
		canonical + "'\n\nThe String-to-Sign should have been\n'" + toSign + "'\n"}
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func (s *Signature) checkTime(now time.Time) error {
	oldest, age := now.Add(-maxAge), "15 min."
	if s.Presigned {
		oldest, age = now.Add(-s.Expires), strconv.Itoa(int(s.Expires.Seconds()))+" sec."
	}
	if s.at.Before(oldest) {
		return &Fault{Invalid, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s)",
			s.Time, oldest.Format(timeLayout), now.Format(timeLayout), age)}
	}
	if newest := now.Add(maxAhead); s.at.After(newest) {
		return &Fault{Invalid, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			s.Time, newest.Format(timeLayout), now.Format(timeLayout))}
	}
	return nil
}

// End returns when a presigned request is good no more.
func (s *Signature) End() time.Time { return s.at.Add(s.Expires) }

func (s *Signature) canonicalRequest(r *http.Request, body []byte) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if strings.Contains(path, "://") { // absolute form, as proxies send it
		path = r.URL.EscapedPath()
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(path) + "\n" + canonicalQuery(query) + "\n")
	for _, name := range s.SignedHeaders {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(s.SignedHeaders, ";") + "\n" + payloadHash(body))
	return b.String()
}

// payloadHash is the hash of what was sent. What X-Amz-Content-Sha256 says of it, UNSIGNED-PAYLOAD too, counts for S3 alone.
func payloadHash(body []byte) string {
	hash := sha256.Sum256(body)
	return hex.EncodeToString(hash[:])
}

// canonicalPath removes empty and dot segments and encodes once more what is encoded already, as all services but S3 do.
func canonicalPath(raw string) string {
	if raw == "" || raw == "/" {
		return "/"
	}
	var kept []string
	for _, segment := range strings.Split(raw, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, encode(segment))
		}
	}
	path := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && strings.HasSuffix(raw, "/") {
		path += "/"
	}
	return path
}

// canonicalQuery sorts the parameters by encoded name and value, without the signature itself.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs []string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if name = recode(name); name != "X-Amz-Signature" {
			pairs = append(pairs, name+"="+recode(value))
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if an != bn {
			return strings.Compare(an, bn)
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(pairs, "&")
}

func recode(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return encode(decoded)
	}
	return encode(s)
}

// encode is RFC 3986 percent-encoding of everything but unreserved characters.
func encode(s string) string {
	const digits = "0123456789ABCDEF"
	clean := true
	for i := range len(s) {
		clean = clean && unreserved(s[i])
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

// headerValue returns a header as it was signed: trimmed, inner blanks collapsed, several values joined. The HTTP server keeps some headers in
// fields of their own.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host", authority:
		return r.Host
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10)
		}
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	values := r.Header[http.CanonicalHeaderKey(name)]
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ",")
}
