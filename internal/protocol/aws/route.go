package aws

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet/freshet/internal/govern/sigv4"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// route says which operation of which service a request is for, and in which encoding. What could not be told is zero.
type route struct {
	service       *service
	target        string           // the API as the request names it
	operationName string           // as the request names it
	modelled      *shape.Operation // nil if the service has no such operation
	operation     *operation       // nil if it is not served
	encoding      *encoding
	version       string            // of the API, as a query request names it; "" = it does not
	variables     map[string]string // of a rest request's path

	signedFor, region, accessKey string // what the signature claims
}

// isCall tells AWS calls from requests for pages.
func isCall(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("X-Amz-Target") != "" || strings.HasPrefix(r.URL.Path, "/service/") ||
		strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") || strings.Contains(r.URL.RawQuery, "Action=") ||
		mediaType(r) == formType
}

const formType = "application/x-www-form-urlencoded"

// mediaType returns the content type without its parameters, in lower case.
func mediaType(r *http.Request) string {
	header := r.Header.Get("Content-Type")
	if strings.IndexByte(header, ';') < 0 {
		return strings.ToLower(strings.TrimSpace(header))
	}
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		t, _, _ = strings.Cut(header, ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}

// routeByHeader tries what needs no body: the path of RPC v2, the target, the signature's scope, the path of a rest operation.
func (f *FrontDoor) routeByHeader(r *http.Request) route {
	var to route
	to.accessKey, to.region, to.signedFor = sigv4.Scope(r)
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/"); ok {
		if target, name, ok := strings.Cut(rest, "/operation/"); ok {
			to.target, to.operationName = target, name
			if r.Header.Get("Smithy-Protocol") == rpcV2 {
				to.encoding = rpcEncoding
			}
			if s := f.byTarget[target]; s != nil && s.Model.Speaks(shape.RPCv2) {
				to.service = s
			}
			return to.resolve()
		}
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		to.target, to.operationName, _ = strings.Cut(target, ".")
		to.service = f.byTarget[to.target]
		to.encoding = encodingOf(mediaType(r), to.service)
		return to.resolve()
	}
	if services := f.bySigning[to.signedFor]; len(services) == 1 {
		to.service = services[0]
	} else if to.signedFor == "" {
		to.service = f.serviceOfPath(r)
	}
	if to.service != nil && to.service.routes != nil {
		return to.routeByPath(r)
	}
	to.encoding = encodingOf(mediaType(r), to.service)
	return to.resolve()
}

// routeByForm finishes the routing of query requests, whose Action is in the body or in the target's query.
func (f *FrontDoor) routeByForm(r *http.Request, body []byte, to route) route {
	if to.operationName != "" || to.service != nil && !to.service.Model.Speaks(shape.Query) {
		return to
	}
	var action, version string
	switch {
	case mediaType(r) == formType:
		action, version = formValue(string(body), "Action"), formValue(string(body), "Version")
	case r.Method == http.MethodGet || len(body) == 0:
		action, version = formValue(r.URL.RawQuery, "Action"), formValue(r.URL.RawQuery, "Version")
	}
	if action == "" {
		return to
	}
	to.operationName, to.version, to.encoding = action, version, queryEncoding
	if to.service == nil {
		to.service = f.serviceOfAction(to.signedFor, action, version)
	}
	return to.resolve()
}

// serviceOfAction finds the query service that has the version, among those signed for if the request is signed for any.
func (f *FrontDoor) serviceOfAction(signedFor, action, version string) *service {
	for name, services := range f.bySigning {
		for _, s := range services {
			if (signedFor == "" || signedFor == name) && s.Model.Speaks(shape.Query) && s.Model.Info.APIVersion == version &&
				s.Model.Operation(action) != nil {
				return s
			}
		}
	}
	return nil
}

func (to route) resolve() route {
	if to.service != nil && to.operationName != "" {
		to.modelled = to.service.Model.Operation(to.operationName)
		to.operation = to.service.operations[to.operationName]
	}
	return to
}

// formValue returns the first value of a key in an encoded form, without building a map of all of them.
func formValue(form, key string) string {
	for part := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(part, "=")
		if name == key {
			if decoded, err := url.QueryUnescape(value); err == nil {
				return decoded
			}
			return value
		}
	}
	return ""
}
