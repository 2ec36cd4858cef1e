// Package iam decides what principals of AWS may do in a Kafka cluster, by policies with kafka-cluster actions, as Amazon MSK's IAM access control does.
// Policy is a document, which Parse reads; Authorizer asks it about a cluster, for Kafka's operations.
//
// A request is refused unless a statement allows it, and refused if any denies it. It refuses, when a policy is read, whatever it would have to leave
// out of account: conditions, policy variables and members that it does not know.
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The bounds of a policy.
const (
	MaxBytes      = 1 << 20
	maxStatements = 1000
)

// Version is the one version of the language that is read.
const Version = "2012-10-17"

// Policy is a document of statements that name their principals.
type Policy struct {
	statements []statement
}

type statement struct {
	deny       bool
	principals []principalPattern
	actions    []string // patterns, in lower case
	notActions bool     // all but these
	resources  []string // patterns
	notThese   bool     // all but these
}

// document is a policy as it is written.
type document struct {
	Version   string         `json:"Version"`
	ID        string         `json:"Id"`
	Statement many[language] `json:"Statement"`
}

// language is a statement as it is written.
type language struct {
	Sid          string          `json:"Sid"`
	Effect       string          `json:"Effect"`
	Principal    json.RawMessage `json:"Principal"`
	NotPrincipal json.RawMessage `json:"NotPrincipal"`
	Action       many[string]    `json:"Action"`
	NotAction    many[string]    `json:"NotAction"`
	Resource     many[string]    `json:"Resource"`
	NotResource  many[string]    `json:"NotResource"`
	Condition    json.RawMessage `json:"Condition"`
}

// many is one value, or a list of them.
type many[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (m *many[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		var all []T
		if err := strict(text, &all); err != nil {
			return err
		}
		*m = all
		return nil
	}
	var one T
	if err := strict(text, &one); err != nil {
		return err
	}
	*m = many[T]{one}
	return nil
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the document")
	}
	return nil
}

// Parse reads a policy. It says which statement is wrong, counted from 1.
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("a policy has at most %d bytes", MaxBytes)
	}
	var doc document
	if err := strict(text, &doc); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	switch {
	case doc.Version != Version:
		return nil, fmt.Errorf("policy: its Version must be %q, not %q", Version, doc.Version)
	case len(doc.Statement) > maxStatements:
		return nil, fmt.Errorf("policy: it has %d statements, more than %d", len(doc.Statement), maxStatements)
	}
	p := &Policy{}
	for i := range doc.Statement {
		s, err := doc.Statement[i].compile()
		if err != nil {
			name := strings.TrimSpace(fmt.Sprint(i+1, " ", doc.Statement[i].Sid))
			return nil, fmt.Errorf("policy statement %s: %w", name, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (l *language) compile() (s statement, err error) {
	switch {
	case l.Effect != "Allow" && l.Effect != "Deny":
		return s, fmt.Errorf("its Effect must be Allow or Deny, not %q", l.Effect)
	case l.Condition != nil:
		return s, errors.New("Condition is not supported")
	case l.NotPrincipal != nil:
		return s, errors.New("NotPrincipal is not supported")
	case (len(l.Action) == 0) == (len(l.NotAction) == 0):
		return s, errors.New("it must have one of Action and NotAction")
	case (len(l.Resource) == 0) == (len(l.NotResource) == 0):
		return s, errors.New("it must have one of Resource and NotResource")
	}
	s.deny = l.Effect == "Deny"
	s.notActions, s.notThese = len(l.NotAction) > 0, len(l.NotResource) > 0
	for _, a := range append(l.Action, l.NotAction...) {
		if err = checkAction(a); err != nil {
			return s, err
		}
		s.actions = append(s.actions, strings.ToLower(a))
	}
	for _, r := range append(l.Resource, l.NotResource...) {
		if err = checkResource(r); err != nil {
			return s, err
		}
		s.resources = append(s.resources, r)
	}
	s.principals, err = parsePrincipals(l.Principal)
	return s, err
}

// checkAction refuses what no action of a cluster matches: it would be a mistake in silence. Other services' actions are left alone.
func checkAction(pattern string) error {
	service, name, ok := strings.Cut(strings.ToLower(pattern), ":")
	switch {
	case pattern == "*":
		return nil
	case !ok || service == "" || name == "":
		return fmt.Errorf("action %q is not of the form service:action", pattern)
	case service != strings.TrimSuffix(prefix, ":"):
		return nil
	}
	for _, a := range actionNames {
		if matches(name, strings.ToLower(a)) {
			return nil
		}
	}
	return fmt.Errorf("there is no action %s", pattern)
}

func checkResource(pattern string) error {
	switch {
	case strings.Contains(pattern, "${"):
		return fmt.Errorf("policy variables are not supported: %s", pattern)
	case pattern != "*" && !strings.HasPrefix(pattern, "arn:"):
		return fmt.Errorf("resource %q is neither * nor an ARN", pattern)
	}
	return nil
}

// about says whether s is about an action on a resource.
func (s *statement) about(action, resource string) bool {
	return anyMatches(s.actions, action) != s.notActions && anyMatches(s.resources, resource) != s.notThese
}

func anyMatches(patterns []string, text string) bool {
	for _, p := range patterns {
		if matches(p, text) {
			return true
		}
	}
	return false
}

// matches says whether a pattern, in which * stands for any text and ? for one character, is text. It goes back to the last star alone, so that it takes no
// more than the product of their lengths.
func matches(pattern, text string) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
