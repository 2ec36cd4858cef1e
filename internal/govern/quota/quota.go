// Package quota bounds what clients take, as Apache Kafka's client quotas do (KIP-13, 124, 219, 546, 599, 612). Book is the limits that were set, which
// survive restarts, and what is measured for them: Limits is what goes for one client, Rate and Bucket measure.
//
// Nothing is ever refused but by a Bucket asked strictly: whoever takes too much is told how long to wait, and made to.
//
// It refuses to know requests and connections: who takes is a user, a client id and an address. It does not read the clock.
package quota

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// Kind is what is limited.
type Kind int

// The kinds.
const (
	ProducerBytes Kind = iota // bytes/s of Produce requests
	ConsumerBytes             // bytes/s of records in Fetch answers
	RequestTime               // percents of a processor
	Mutations                 // partitions created and deleted per second
	Connections               // connections opened per second, from an address
	kinds
)

var names = [kinds]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate"}

// whole says of which kinds limits have no fraction.
var whole = [kinds]bool{ProducerBytes: true, ConsumerBytes: true, Connections: true}

// String returns the name that Apache Kafka has for k.
func (k Kind) String() string { return names[k] }

// KindOf finds a kind by its name.
func KindOf(name string) (Kind, bool) {
	for k, n := range names {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Part is one half of whom a limit is for: nobody in particular (the zero Part), everyone without a limit of their own, or one by name.
type Part struct {
	Set     bool   `json:"set,omitempty"`
	Default bool   `json:"default,omitempty"`
	Name    string `json:"name,omitempty"`
}

// Everyone is the part of everyone without a limit of their own.
var Everyone = Part{Set: true, Default: true}

// Named returns the part of a name.
func Named(name string) Part { return Part{Set: true, Name: name} }

// Entity is whom a limit is for: a user, a client id, both, or an address.
type Entity struct {
	User   Part `json:"user,omitzero"`
	Client Part `json:"client,omitzero"`
	IP     Part `json:"ip,omitzero"`
}

// MaxName bounds the bytes of a user's name and of a client id in an entity.
const MaxName = 4 << 10

// ErrInvalid is what errors are about entities and limits that cannot be.
var ErrInvalid = errors.New("invalid quota")

// invalidError says what is wrong, and is ErrInvalid.
type invalidError string

func (e invalidError) Error() string { return string(e) }

// Is implements errors.Is.
func (invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Check returns ErrInvalid with a reason if nothing can be limited for e.
func (e *Entity) Check() error {
	switch {
	case *e == Entity{}:
		return invalid("Invalid empty client quota entity")
	case e.IP.Set && (e.User.Set || e.Client.Set):
		return invalid("Invalid quota entity combination, IP entity should not be combined with User or ClientId")
	}
	for _, p := range []struct {
		kind string
		Part
	}{{"user", e.User}, {"client-id", e.Client}, {"ip", e.IP}} {
		switch {
		case !p.Set || p.Default:
		case p.Name == "":
			return invalid("Empty %s not supported", p.kind)
		case len(p.Name) > MaxName || strings.ToValidUTF8(p.Name, "") != p.Name:
			return invalid("The name of a %s must be UTF-8 of at most %d bytes", p.kind, MaxName)
		}
	}
	if e.IP.Set && !e.IP.Default {
		if _, err := netip.ParseAddr(e.IP.Name); err != nil {
			return invalid("%s is not a valid IP", e.IP.Name)
		}
	}
	return nil
}

// checkLimit returns the kind of a limit for e, or ErrInvalid with a reason.
func (e *Entity) checkLimit(name string, limit float64) (Kind, error) {
	k, known := KindOf(name)
	switch {
	case !known || e.IP.Set != (k == Connections):
		return 0, invalid("Invalid configuration key %s", name)
	case !(limit > 0) || math.IsInf(limit, 0): // NaN is not larger either
		return 0, invalid("Quota %s must be greater than 0", name)
	case whole[k] && limit != math.Trunc(limit):
		return 0, invalid("%s cannot be a fractional value.", name)
	}
	return k, nil
}

// checkNew is checkLimit of one that is to be set, which must also fit into Kafka's numbers. Those kept from before are let be.
func (e *Entity) checkNew(name string, limit float64) (Kind, error) {
	k, err := e.checkLimit(name, min(limit, math.MaxFloat64))
	switch {
	case err != nil:
		return 0, err
	case k == Connections && limit > math.MaxInt32:
		return 0, invalid("Proposed value for %s is too large for an INT.", name)
	case whole[k] && limit > math.MaxInt64:
		return 0, invalid("Proposed value for %s is too large for a LONG.", name)
	case math.IsInf(limit, 0):
		return 0, invalid("Quota %s must be a number", name)
	}
	return k, nil
}
