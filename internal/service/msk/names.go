package msk

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/stream"
)

// The resource types in the service's ARNs.
const (
	clusterType       = "cluster"
	configurationType = "configuration"
	operationType     = "cluster-operation"
	topicType         = "topic"
	brokerType        = "broker"
)

// names draws the identifiers of new resources.
type names struct{ random io.Reader }

// id returns what MSK ends ARNs with: a UUID and a small number.
func (n names) id() (string, error) {
	id, err := n.uuid()
	if err != nil {
		return "", err
	}
	var b [1]byte
	if _, err := io.ReadFull(n.random, b[:]); err != nil {
		return "", fmt.Errorf("draw an identifier: %w", err)
	}
	return fmt.Sprintf("%s-%d", id, 1+b[0]%25), nil
}

func (n names) uuid() (string, error) {
	id, err := stream.NewID(n.random)
	if err != nil {
		return "", fmt.Errorf("draw an identifier: %w", err)
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// version returns an opaque version of a cluster, as K3AEGXETSR30VB.
func (n names) version() (string, error) {
	const letters, length = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", 13
	var b [length]byte
	if _, err := io.ReadFull(n.random, b[:]); err != nil {
		return "", fmt.Errorf("draw a version: %w", err)
	}
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return "K" + string(b[:]), nil
}

// ref is an ARN of this service, taken apart: arn:aws:kafka:region:account:type/parts...
type ref struct {
	region, account, kind string
	parts                 []string
}

// parseARN takes an ARN apart. A partition other than this project's, as of China, is as good.
func parseARN(arn string) (ref, bool) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "kafka" {
		return ref{}, false
	}
	kind, rest, ok := strings.Cut(fields[5], "/")
	if !ok {
		return ref{}, false
	}
	return ref{region: fields[3], account: fields[4], kind: kind, parts: strings.Split(rest, "/")}, true
}

// makeARN is the reverse of parseARN.
func makeARN(call *aws.Call, kind string, parts ...string) string {
	return call.ARN(kind + "/" + strings.Join(parts, "/"))
}

// namePattern is what clusters and configurations may be called: letters, digits and hyphens, beginning with a letter or digit.
var namePattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]*$`)
