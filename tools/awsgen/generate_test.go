package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

const tiny = `{
	"metadata": {"apiVersion": "2026-01-01", "endpointPrefix": "tiny", "jsonVersion": "1.0", "protocol": "json", "serviceId": "Tiny", "targetPrefix": "Tiny_1"},
	"operations": {
		"Put": {"name": "Put", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "PutInput"}, "errors": [{"shape": "goneException"}], "documentation": "PROSE"},
		"Other": {"name": "Other", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "OtherInput"}}
	},
	"shapes": {
		"PutInput": {"type": "structure", "required": ["Z"], "documentation": "PROSE", "members": {
			"Z": {"shape": "Mode", "documentation": "PROSE"}, "a": {"shape": "Tree"}, "When": {"shape": "Time"}, "M": {"shape": "Map"}}},
		"OtherInput": {"type": "structure", "members": {}},
		"Mode": {"type": "string", "enum": ["ON_DEMAND", "none-yet"], "max": 9},
		"Tree": {"type": "structure", "members": {"Children": {"shape": "Trees"}, "Left": {"shape": "Tree"}}},
		"Trees": {"type": "list", "member": {"shape": "Tree"}, "min": 1, "max": 3},
		"Map": {"type": "map", "key": {"shape": "Mode"}, "value": {"shape": "Blob"}},
		"Blob": {"type": "blob"},
		"Time": {"type": "timestamp"},
		"goneException": {"type": "structure", "members": {}, "exception": true, "error": {"code": "Gone", "httpStatusCode": 410}}
	}
}`

func TestGenerateKeepsFactsOnly(t *testing.T) {
	m := new(model)
	if err := json.Unmarshal([]byte(tiny), m); err != nil {
		t.Fatal(err)
	}
	files, err := generate(m, serviceConfig{dir: "tiny", apiVersion: "2026-01-01", only: []string{"Put"}})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for name, content := range files {
		if _, err := parser.ParseFile(token.NewFileSet(), name, content, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all.Write(content)
	}
	for _, want := range []string{
		"Z    *Mode // required, <= 9\n\tA    *Tree\n\tWhen *time.Time\n\tM    map[string][]byte\n", // the model's order
		"Children []Tree // 1..3\n\tLeft     *Tree\n",
		"ModeOnDemand Mode = \"ON_DEMAND\"\n\tModeNoneYet  Mode = \"none-yet\"\n",
		"ErrGone = \"Gone\"", `{Code: "Gone", Status: 410, Fault: false}`,
		`{Name: "Other", Method: "POST", Path: "/"}`, `{Name: "Put", Method: "POST", Path: "/", Described: true, Input: "PutInput"}`,
		`{Name: "Trees", Kind: shape.List, Range: shape.Between(1, 3), Element: "Tree"}`, `{Name: "Z", Target: "Mode", Required: true}`,
		`Enum: []string{"ON_DEMAND", "none-yet"}`, "shape.JSON10",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	for _, unwanted := range []string{"PROSE", "OtherInput struct"} {
		if strings.Contains(all.String(), unwanted) {
			t.Errorf("%q was generated", unwanted)
		}
	}
	if t.Failed() {
		t.Log(all.String())
	}
}

const tinyRest = `{
	"metadata": {"apiVersion": "2026-01-01", "endpointPrefix": "tiny", "jsonVersion": "1.1", "protocol": "rest-json", "serviceId": "Tiny"},
	"operations": {"Put": {"name": "Put", "http": {"method": "PUT", "requestUri": "/v1/{arn}", "responseCode": 204}, "input": {"shape": "PutInput"}, "errors": []}},
	"shapes": {
		"PutInput": {"type": "structure", "required": ["Arn"], "members": {
			"Arn": {"shape": "Text", "location": "uri", "locationName": "arn"}, "Limit": {"shape": "Text", "location": "querystring", "locationName": "limit"},
			"NodeARN": {"shape": "Time", "locationName": "nodeARN"}}},
		"Text": {"type": "string"},
		"Time": {"type": "timestamp", "timestampFormat": "iso8601"}
	}
}`

func TestGenerateKnowsWhereRestMembersAre(t *testing.T) {
	m := new(model)
	if err := json.Unmarshal([]byte(tinyRest), m); err != nil {
		t.Fatal(err)
	}
	files, err := generate(m, serviceConfig{dir: "tiny", apiVersion: "2026-01-01"})
	if err != nil {
		t.Fatal(err)
	}
	all := string(files["model.gen.go"]) + string(files["tables.gen.go"]) + string(files["operations.gen.go"])
	for _, want := range []string{
		`{Name: "Put", Method: "PUT", Path: "/v1/{arn}", Described: true, Input: "PutInput", Status: 204}`,
		`{Name: "arn", Target: "Text", Required: true, In: shape.InPath}`, `{Name: "limit", Target: "Text", In: shape.InQuery}`, `{Name: "nodeARN", Target: "Time"}`,
		`{Name: "Time", Kind: shape.Timestamp, ISO8601: true}`, "Arn     *string // required\n\tLimit   *string\n\tNodeARN *time.Time\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
}
