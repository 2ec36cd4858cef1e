package msk

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Plane serves the clients of clusters. A cluster is to it a namespace of topics and groups with listeners of its own. Its methods are called for
// one change at a time.
type Plane interface {
	// Open serves a cluster, or serves it anew with another Spec: open connections end then, as when a broker is rebooted. It returns the ports of its
	// listeners: those of the spec where they can be had. ErrNoPorts, ErrNoKeys, ErrNoAuthority.
	Open(ctx context.Context, spec Spec) (Ports, error)
	// Drop ends the serving of a cluster and removes its topics, groups and all else that it has.
	Drop(ctx context.Context, namespace string) error
	// Address returns where clients are told to connect to a port.
	Address(port int) string
	// SetUsers sets the passwords of an open cluster's users, by their names, and removes others.
	SetUsers(ctx context.Context, namespace string, passwords map[string]string, remove []string) error
	// Request answers an administrative request to an open cluster as its broker would, with no client's rights or limits.
	Request(ctx context.Context, namespace string, req kmsg.Request) (kmsg.Response, error)
}

// ErrNoPorts says that no more ports are free for listeners.
var ErrNoPorts = errors.New("no port is free")

// ErrNoKeys says that a cluster with IAM would let nobody in: no access keys are known.
var ErrNoKeys = errors.New("no access keys are known")

// ErrNoAuthority says that a cluster would trust certificates of an authority of which only the ARN is known.
var ErrNoAuthority = errors.New("the certificates of an authority are not known")

// Access is how clients of a listener are protected and known.
type Access string

// The kinds of listeners of MSK.
const (
	Plaintext Access = "PLAINTEXT"
	TLS       Access = "TLS"        // and a certificate, if Spec.Authorities are named
	Scram     Access = "SASL_SCRAM" // TLS, and the password of a user, by SCRAM-SHA-512
	IAM       Access = "SASL_IAM"   // TLS, and the signature of an access key, by AWS_MSK_IAM or as a token
)

// Accesses are all kinds of listeners.
var Accesses = []Access{Plaintext, TLS, Scram, IAM}

// Ports are a cluster's ports by listener, one for each broker that GetBootstrapBrokers names.
type Ports map[Access][]int

// Spec is what a Plane needs to know of a cluster.
type Spec struct {
	Namespace string // unlike all others', [a-z0-9-]{1,32}
	Name      string // for logs
	ARN       string // for policies
	// Ports has a list for each listener, as long as that is to have ports; 0 is any of the plane's.
	Ports Ports
	// Authorities are the ARNs of those who sign the certificates that clients of TLS must show: the distinguished name in it is who they are. With
	// Anybody they may also show none.
	Authorities []string
	Anybody     bool
	// Properties are broker configs, checked: those of Properties that are Applied.
	Properties map[string]string
}
