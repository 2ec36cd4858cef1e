package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// The wheel every machine generates from.
const (
	botocoreVersion = "1.44.5"
	botocoreSHA256  = "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921"
)

// model is the part of service-2.json that is kept.
type model struct {
	Metadata   metadata             `json:"metadata"`
	Operations map[string]operation `json:"operations"`
	Shapes     map[string]*shapeDef `json:"shapes"`
}

type metadata struct {
	APIVersion     string   `json:"apiVersion"`
	EndpointPrefix string   `json:"endpointPrefix"`
	SigningName    string   `json:"signingName"`
	JSONVersion    string   `json:"jsonVersion"`
	Protocol       string   `json:"protocol"`
	Protocols      []string `json:"protocols"`
	ServiceID      string   `json:"serviceId"`
	TargetPrefix   string   `json:"targetPrefix"`
	XMLNamespace   string   `json:"xmlNamespace"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input  *ref  `json:"input"`
	Output *ref  `json:"output"`
	Errors []ref `json:"errors"`
}

// ref points to a shape. Query answers wrap some outputs in an element of another name; in rest protocols a member has a place in the request and
// a name there.
type ref struct {
	Shape         string `json:"shape"`
	ResultWrapper string `json:"resultWrapper"`
	Location      string `json:"location"`
	LocationName  string `json:"locationName"`
}

type shapeDef struct {
	Type        string      `json:"type"`
	Required    []string    `json:"required"`
	Members     orderedRefs `json:"members"`
	Member      *ref        `json:"member"`
	Key         *ref        `json:"key"`
	Value       *ref        `json:"value"`
	Min         *float64    `json:"min"`
	Max         *float64    `json:"max"`
	Pattern     string      `json:"pattern"`
	TimeFormat  string      `json:"timestampFormat"`
	Enum        []string    `json:"enum"`
	Sensitive   bool        `json:"sensitive"`
	EventStream bool        `json:"eventstream"`
	Exception   bool        `json:"exception"`
	Fault       bool        `json:"fault"`
	Error       *errorDef   `json:"error"`
}

type errorDef struct {
	Code           string `json:"code"`
	HTTPStatusCode int    `json:"httpStatusCode"`
	SenderFault    bool   `json:"senderFault"`
}

// orderedRefs keeps the members of a structure in the model's order, which a Go map would lose.
type orderedRefs []namedRef

type namedRef struct {
	Name string
	ref
}

func (o *orderedRefs) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		r := namedRef{Name: name.(string)}
		if err := d.Decode(&r.ref); err != nil {
			return fmt.Errorf("member %s: %w", r.Name, err)
		}
		*o = append(*o, r)
	}
	return nil
}

// fetchWheel returns the wheel's bytes, downloading it into dir unless it is there.
func fetchWheel(dir string) ([]byte, error) {
	path := filepath.Join(dir, "botocore-"+botocoreVersion+"-py3-none-any.whl")
	if _, err := os.Stat(path); err != nil {
		pip := exec.Command("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
			"--dest", dir, "botocore=="+botocoreVersion)
		pip.Stderr = os.Stderr
		if err := pip.Run(); err != nil {
			return nil, fmt.Errorf("pip download botocore %s: %w", botocoreVersion, err)
		}
	}
	wheel, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(wheel); hex.EncodeToString(sum[:]) != botocoreSHA256 {
		return nil, fmt.Errorf("%s: SHA-256 is %x, want %s: remove the file", path, sum, botocoreSHA256)
	}
	return wheel, nil
}

func readModel(wheel []byte, config serviceConfig) (*model, error) {
	archive, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return nil, err
	}
	f, err := archive.Open("botocore/data/" + config.dir + "/" + config.apiVersion + "/service-2.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	m := new(model)
	return m, json.Unmarshal(raw, m)
}
