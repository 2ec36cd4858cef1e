// Package scram keeps the users of a node and what proves that a client knows their passwords, as RFC 5802 has it: a Credential is made of a password and
// does not tell it, Users are all of them, durable in a state.Store. Both ways of asking for a password use them: SCRAM, and PLAIN, which sends it.
//
// It refuses to know the messages in which clients prove it, and what a user may do.
package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Mechanism is a hash function to make credentials with; its numbers are those of Kafka's protocol (KIP-554).
type Mechanism int8

// The mechanisms that there are.
const (
	SHA256 Mechanism = 1
	SHA512 Mechanism = 2
)

// Mechanisms are all of them, in order.
var Mechanisms = []Mechanism{SHA256, SHA512}

// String returns the mechanism's name in SASL.
func (m Mechanism) String() string {
	switch m {
	case SHA256:
		return "SCRAM-SHA-256"
	case SHA512:
		return "SCRAM-SHA-512"
	}
	return fmt.Sprintf("SCRAM mechanism %d", int8(m))
}

// Known says whether there is such a mechanism.
func (m Mechanism) Known() bool { return m == SHA256 || m == SHA512 }

// Hash returns the mechanism's hash function.
func (m Mechanism) Hash() func() hash.Hash {
	if m == SHA512 {
		return sha512.New
	}
	return sha256.New
}

// The bounds of iterations: RFC 7677 wants 4,096 at least; more than the upper one, which is Apache Kafka's, only costs the node.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// saltBytes is the length of salts that are made here.
const saltBytes = 24

// maxBytes bounds salts and salted passwords that clients make.
const maxBytes = 1 << 10

// Credential is what is kept of a password. It proves the server to clients, too, so that it is a secret.
type Credential struct {
	Iterations int    `json:"iterations"`
	Salt       []byte `json:"salt"`
	StoredKey  []byte `json:"storedKey"`
	ServerKey  []byte `json:"serverKey"`
}

// The errors of a credential that cannot be taken, in the words of Apache Kafka where it has them.
var (
	ErrFewIterations  = errors.New("too few iterations")
	ErrManyIterations = errors.New("too many iterations")
	ErrSalt           = errors.New("salt and salted password must have 1 to 1024 bytes")
)

// Of makes a credential of a password, with a salt from random.
func Of(m Mechanism, password string, iterations int, random io.Reader) (Credential, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return Credential{}, fmt.Errorf("make salt: %w", err)
	}
	salted, err := salted(m, password, salt, iterations)
	if err != nil {
		return Credential{}, err
	}
	return OfSalted(m, salt, salted, iterations)
}

// OfSalted makes a credential of a password that was salted by someone else.
func OfSalted(m Mechanism, salt, salted []byte, iterations int) (Credential, error) {
	switch {
	case iterations < MinIterations:
		return Credential{}, ErrFewIterations
	case iterations > MaxIterations:
		return Credential{}, ErrManyIterations
	case len(salt) == 0 || len(salt) > maxBytes || len(salted) == 0 || len(salted) > maxBytes:
		return Credential{}, ErrSalt
	}
	client := mac(m, salted, []byte("Client Key"))
	return Credential{Iterations: iterations, Salt: bytes.Clone(salt), StoredKey: digest(m, client), ServerKey: mac(m, salted, []byte("Server Key"))}, nil
}

func salted(m Mechanism, password string, salt []byte, iterations int) ([]byte, error) {
	key, err := pbkdf2.Key(m.Hash(), password, salt, iterations, m.Hash()().Size())
	if err != nil {
		return nil, fmt.Errorf("salt password: %w", err)
	}
	return key, nil
}

// Matches says whether the credential was made of the password. It takes milliseconds of a CPU, on purpose.
func (c *Credential) Matches(m Mechanism, password string) bool {
	key, err := salted(m, password, c.Salt, c.Iterations)
	return err == nil && hmac.Equal(digest(m, mac(m, key, []byte("Client Key"))), c.StoredKey)
}

// Prove says whether proof, of a client that knows the password, is for the messages that were exchanged (RFC 5802, 3).
func (c *Credential) Prove(m Mechanism, messages, proof []byte) bool {
	signature := mac(m, c.StoredKey, messages)
	if len(proof) != len(signature) {
		return false
	}
	client := make([]byte, len(proof))
	for i := range proof {
		client[i] = proof[i] ^ signature[i]
	}
	return hmac.Equal(digest(m, client), c.StoredKey)
}

// Sign returns what proves to the client that the server knows the credential.
func (c *Credential) Sign(m Mechanism, messages []byte) []byte { return mac(m, c.ServerKey, messages) }

func mac(m Mechanism, key, data []byte) []byte {
	h := hmac.New(m.Hash(), key)
	h.Write(data)
	return h.Sum(nil)
}

func digest(m Mechanism, data []byte) []byte {
	h := m.Hash()()
	h.Write(data)
	return h.Sum(nil)
}
