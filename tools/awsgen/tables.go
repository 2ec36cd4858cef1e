package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// exceptions lists the errors that any operation of the service declares.
func (g *generator) exceptions() []string {
	seen := map[string]bool{}
	for _, op := range g.model.Operations {
		for _, e := range op.Errors {
			seen[e.Shape] = true
		}
	}
	for name, s := range g.model.Shapes {
		if s.EventStream {
			for _, m := range s.Members {
				if g.model.Shapes[m.Shape].Exception {
					seen[m.Shape] = true
				}
			}
		}
		// Some models declare common errors without naming them in an operation.
		if s.Exception && g.config.only == nil {
			seen[name] = true
		}
	}
	return sortedKeys(seen)
}

func (g *generator) errorCodes() string {
	var b bytes.Buffer
	b.WriteString(header + "package " + g.config.dir + "\n\n// The error codes of the service.\nconst (\n")
	for _, name := range g.exceptions() {
		fmt.Fprintf(&b, "Err%s = %q\n", strings.TrimSuffix(shape.ExportedName(name), "Exception"), g.errorCode(name))
	}
	b.WriteString(")\n")
	return b.String()
}

func (g *generator) errorCode(name string) string {
	if e := g.model.Shapes[name].Error; e != nil && e.Code != "" {
		return e.Code
	}
	return name
}

func (g *generator) modelTable() string {
	var b bytes.Buffer
	b.WriteString(header + "package " + g.config.dir + "\n\nimport \"github.com/freshet/freshet/internal/protocol/aws/shape\"\n\n")
	b.WriteString("// Model is the table of the service. It is immutable.\nvar Model = shape.NewModel(info, operations, exceptions, shapes)\n\n")
	md := g.model.Metadata
	signing := md.SigningName
	if signing == "" {
		signing = md.EndpointPrefix
	}
	b.WriteString("var info = shape.Info{\n")
	fmt.Fprintf(&b, "ID: %q,\nEndpointName: %q,\nSigningName: %q,\nTargetPrefix: %q,\nAPIVersion: %q,\nXMLNamespace: %q,\nProtocols: []shape.Protocol{%s},\nBinaryVariant: %t,\n}\n\n",
		md.ServiceID, md.EndpointPrefix, signing, md.TargetPrefix, md.APIVersion, md.XMLNamespace, protocols(md), g.config.binaryVariant)
	b.WriteString("var operations = []shape.Operation{\n")
	for _, name := range sortedKeys(g.model.Operations) {
		op := g.model.Operations[name]
		fmt.Fprintf(&b, "{Name: %q, Method: %q, Path: %q", name, op.HTTP.Method, op.HTTP.RequestURI)
		if g.described(name) {
			b.WriteString(", Described: true")
			if op.Input != nil {
				fmt.Fprintf(&b, ", Input: %q", op.Input.Shape)
			}
			if op.Output != nil {
				fmt.Fprintf(&b, ", Output: %q", op.Output.Shape)
			}
			if code := op.HTTP.ResponseCode; code != 0 && code != http.StatusOK {
				fmt.Fprintf(&b, ", Status: %d", code)
			}
		}
		b.WriteString("},\n")
	}
	b.WriteString("}\n\nvar exceptions = []shape.Exception{\n")
	for _, name := range g.exceptions() {
		s := g.model.Shapes[name]
		status := 400
		if s.Fault {
			status = 500
		}
		if s.Error != nil && s.Error.HTTPStatusCode != 0 {
			status = s.Error.HTTPStatusCode
		}
		fmt.Fprintf(&b, "{Code: %q, Status: %d, Fault: %t},\n", g.errorCode(name), status, s.Fault)
	}
	b.WriteString("}\n")
	return b.String()
}

func protocols(md metadata) string {
	var names []string
	for _, p := range append([]string{md.Protocol}, md.Protocols...) {
		name := ""
		switch p {
		case "json":
			name = "shape.JSON" + strings.ReplaceAll(md.JSONVersion, ".", "")
		case "query":
			name = "shape.Query"
		case "rest-json":
			name = "shape.RestJSON"
		case "smithy-rpc-v2-cbor":
			name = "shape.RPCv2"
		default:
			panic("unknown protocol " + p)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

var kinds = map[string]string{
	"string": "String", "character": "String", "integer": "Integer", "long": "Long", "float": "Float", "double": "Double",
	"boolean": "Boolean", "timestamp": "Timestamp", "blob": "Blob", "list": "List", "map": "Map", "structure": "Structure",
}

func (g *generator) shapes() string {
	var b bytes.Buffer
	b.WriteString(header + "package " + g.config.dir + "\n\nimport (\n\"reflect\"\n\n\"github.com/freshet/freshet/internal/protocol/aws/shape\"\n)\n\nvar shapes = []shape.Shape{\n")
	used := slices.Clone(g.used)
	sort.Strings(used)
	for _, name := range used {
		s := g.model.Shapes[name]
		fmt.Fprintf(&b, "{Name: %q, Kind: shape.%s", name, kinds[s.Type])
		switch {
		case s.Min != nil && s.Max != nil:
			fmt.Fprintf(&b, ", Range: shape.Between(%.0f, %.0f)", *s.Min, *s.Max)
		case s.Min != nil:
			fmt.Fprintf(&b, ", Range: shape.AtLeast(%.0f)", *s.Min)
		case s.Max != nil:
			fmt.Fprintf(&b, ", Range: shape.AtMost(%.0f)", *s.Max)
		}
		if s.Pattern != "" {
			fmt.Fprintf(&b, ", Pattern: %s", quote(s.Pattern))
		}
		if len(s.Enum) > 0 {
			fmt.Fprintf(&b, ", Enum: %#v", s.Enum)
		}
		if s.TimeFormat == "iso8601" {
			b.WriteString(", ISO8601: true")
		}
		if s.Sensitive {
			b.WriteString(", Sensitive: true")
		}
		if s.EventStream {
			b.WriteString(", EventStream: true")
		}
		for _, r := range []struct {
			field string
			ref   *ref
		}{{"Key", s.Key}, {"Element", s.Member}, {"Element", s.Value}} {
			if r.ref != nil {
				fmt.Fprintf(&b, ", %s: %q", r.field, r.ref.Shape)
			}
		}
		if s.Type == "structure" {
			g.structure(&b, name, s)
		}
		b.WriteString("},\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (g *generator) structure(b *bytes.Buffer, name string, s *shapeDef) {
	fmt.Fprintf(b, ", Go: reflect.TypeFor[%s]()", shape.ExportedName(name))
	members := g.members(s)
	if len(members) == 0 {
		return
	}
	b.WriteString(", Members: []shape.Member{\n")
	for _, m := range members {
		required := ""
		if slices.Contains(s.Required, m.Name) {
			required = ", Required: true"
		}
		fmt.Fprintf(b, "{Name: %q, Target: %q%s%s},\n", g.wireName(m), m.Shape, required, location(m))
	}
	b.WriteString("}")
}

// location returns where a request has the member, if that is not the body.
func location(m namedRef) string {
	switch m.Location {
	case "":
		return ""
	case "uri":
		return ", In: shape.InPath"
	case "querystring":
		return ", In: shape.InQuery"
	}
	panic("member " + m.Name + " is in the unknown location " + m.Location)
}

func quote(s string) string {
	if strings.Contains(s, "`") {
		return fmt.Sprintf("%q", s)
	}
	return "`" + s + "`"
}
