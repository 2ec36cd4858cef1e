package aws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws/codec"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// restRoute is the method and path of one operation of a rest service.
type restRoute struct {
	operation *shape.Operation
	segments  []segment
}

// segment is what stands between two slashes of a path.
type segment struct {
	text   string // literal, or the variable's name
	weight int    // how little it says: a literal, a variable of one segment, one of all that follow
}

// The weights of segments.
const (
	literal = iota
	variable
	greedy
)

// restRoutes returns the routes of a service that speaks REST JSON, those that say more first; none for other services.
func restRoutes(m *shape.Model) []restRoute {
	if !m.Speaks(shape.RestJSON) {
		return nil
	}
	var routes []restRoute
	for i := range m.Operations {
		op := &m.Operations[i]
		path, _, _ := strings.Cut(op.Path, "?")
		route := restRoute{operation: op}
		for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			s := segment{text: part}
			if name, ok := strings.CutPrefix(part, "{"); ok {
				s = segment{strings.TrimSuffix(name, "}"), variable}
				if name, ok = strings.CutSuffix(s.text, "+"); ok {
					s = segment{name, greedy}
				}
			}
			route.segments = append(route.segments, s)
		}
		routes = append(routes, route)
	}
	slices.SortStableFunc(routes, func(a, b restRoute) int {
		return slices.CompareFunc(a.segments, b.segments, func(a, b segment) int { return cmp.Compare(a.weight, b.weight) })
	})
	return routes
}

// match returns the variables of the path's parts, percent-encoded as they came, and whether the route is theirs. A variable is never empty.
func (r *restRoute) match(parts []string) (map[string]string, bool) {
	variables := map[string]string{}
	for i, s := range r.segments {
		if i >= len(parts) || s.weight != literal && parts[i] == "" {
			return nil, false
		}
		value := parts[i]
		switch s.weight {
		case literal:
			if value != s.text {
				return nil, false
			}
			continue
		case greedy:
			rest := len(r.segments) - i - 1 // the segments behind it have one part each
			if len(parts)-rest <= i {
				return nil, false
			}
			value = strings.Join(parts[i:len(parts)-rest], "/")
			parts = append(slices.Clone(parts[:i+1]), parts[len(parts)-rest:]...)
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return nil, false
		}
		variables[s.text] = decoded
	}
	return variables, len(parts) == len(r.segments)
}

// routeByPath finds the operation of a rest service. One that it does not have leaves the route without an operation's name.
func (to route) routeByPath(r *http.Request) route {
	to.encoding = restJSONEncoding
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i := range to.service.routes {
		candidate := &to.service.routes[i]
		if candidate.operation.Method != r.Method {
			continue
		}
		if variables, ok := candidate.match(parts); ok {
			to.operationName, to.variables = candidate.operation.Name, variables
			return to.resolve()
		}
	}
	return to
}

// serviceOfPath finds the rest service that has an operation at the path of an unsigned request, so that it is told what it lacks.
func (f *FrontDoor) serviceOfPath(r *http.Request) *service {
	for _, services := range f.bySigning {
		for _, s := range services {
			if s.routes != nil && (route{service: s}).routeByPath(r).modelled != nil {
				return s
			}
		}
	}
	return nil
}

// decodeRest reads an input from body, path and query. What belongs into path or query is not taken from the body.
func (x *exchange) decodeRest(s *shape.Shape, v reflect.Value) error {
	if s == nil {
		return nil
	}
	if len(x.body) > 0 && slices.ContainsFunc(s.Members, func(m shape.Member) bool { return m.In == shape.InBody }) {
		if err := codec.DecodeJSON(x.body, s, v); err != nil {
			return err
		}
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return &codec.SerializationError{Message: "the query is malformed"}
	}
	for i := range s.Members {
		m := &s.Members[i]
		var values []string
		switch m.In {
		case shape.InBody:
			continue
		case shape.InPath:
			values = []string{x.variables[m.Name]}
		case shape.InQuery:
			values = query[m.Name]
		}
		v.Field(i).SetZero()
		if len(values) == 0 {
			continue
		}
		if err := codec.SetMember(m.Shape, v.Field(i), values); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// refuseRest answers a rest request that no operation of its service has the method and path of.
func (x *exchange) refuseRest() bool {
	if x.modelled != nil {
		return false
	}
	x.fail(&Error{
		Code: x.encoding.unknownCode, Status: http.StatusNotFound,
		Message: fmt.Sprintf("%s %.200s is no operation of the API %s.", x.r.Method, x.r.URL.EscapedPath(), x.service.Model.Info.ID),
	})
	return true
}

// malformed returns the error for a body that is not of the encoding, or that has a value of a wrong type.
func (x *exchange) malformed(err error) *Error {
	syntax := errors.Is(err, codec.ErrSyntax)
	if !x.encoding.rest {
		e := &Error{Code: "SerializationException", capitalMessage: true}
		if !syntax {
			e.Message = err.Error()
		}
		return e
	}
	e := &Error{Code: x.validationCode(), Message: "Invalid request body"}
	if !syntax {
		e.Message = "Invalid request: " + err.Error()
	}
	return e
}

// validationCode is the code of errors about what a request contains: rest services have one of their own.
func (x *exchange) validationCode() string {
	const badRequest = "BadRequestException"
	if x.encoding.rest && x.service.Model.Exception(badRequest) != nil {
		return badRequest
	}
	return x.encoding.validationCode
}

// invalid returns the error for a member that violates a constraint. The rest services that have BadRequestException name the member in it.
func (x *exchange) invalid(message, member string) *Error {
	e := &Error{Code: x.validationCode(), Message: message}
	if e.Code != x.encoding.validationCode {
		e.Fields = map[string]string{"invalidParameter": member}
	}
	return e
}
