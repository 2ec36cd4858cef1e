package firehose

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/service/firehose/javatime"
)

const (
	// defaultPrefix is what is put after a prefix that says nothing of the time.
	defaultPrefix = "yyyy/MM/dd/HH/"
	// maxPrefixLen bounds an evaluated prefix, in bytes.
	maxPrefixLen = 512
	// randomLen is the length of a random string, randomAlphabet its characters.
	randomLen      = 11
	randomAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// prefix is the first part of objects' keys: text with expressions in the form !{namespace:value}.
type prefix struct {
	pieces []prefixPiece
	// which expressions it has
	timed, random, failed bool
}

// prefixPiece is a text, or an expression if one of the others is set.
type prefixPiece struct {
	text   string
	time   *javatime.Pattern
	random bool
	failed bool // the kind of failure, in an error prefix
}

// expressions says whether p is more than text.
func (p *prefix) expressions() bool { return p.timed || p.random || p.failed }

// parsePrefix reads the prefix that member holds.
func parsePrefix(member, text string) (*prefix, error) {
	p := &prefix{}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "!{")
		if before != "" {
			p.pieces = append(p.pieces, prefixPiece{text: before})
		}
		if !found {
			break
		}
		expression, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, invalidArgument("%s %q has an expression that does not end: !{%s", member, text, after)
		}
		piece, err := parseExpression(member, expression)
		if err != nil {
			return nil, err
		}
		p.timed, p.random, p.failed = p.timed || piece.time != nil, p.random || piece.random, p.failed || piece.failed
		p.pieces = append(p.pieces, piece)
		rest = tail
	}
	return p, nil
}

func parseExpression(member, expression string) (prefixPiece, error) {
	namespace, what, _ := strings.Cut(expression, ":")
	switch {
	case namespace == "timestamp" && what != "":
		pattern, err := javatime.Parse(what)
		if err != nil {
			return prefixPiece{}, invalidArgument("%s has an invalid expression !{%s}: %v.", member, expression, err)
		}
		return prefixPiece{time: pattern}, nil
	case expression == "firehose:random-string":
		return prefixPiece{random: true}, nil
	case expression == "firehose:error-output-type":
		return prefixPiece{failed: true}, nil
	case namespace == "partitionKeyFromQuery" || namespace == "partitionKeyFromLambda":
		return prefixPiece{}, invalidArgument("%s has the expression !{%s}, which needs dynamic partitioning to be enabled.", member, expression)
	}
	return prefixPiece{}, invalidArgument("%s has an invalid expression !{%s}.", member, expression)
}

// parsePrefixes reads Prefix and ErrorOutputPrefix, checks them against each other, and returns the former as it is applied.
func parsePrefixes(text, failures string) (*prefix, error) {
	p, err := parsePrefix("Prefix", text)
	if err != nil {
		return nil, err
	}
	failed, err := parsePrefix("ErrorOutputPrefix", failures)
	switch {
	case err != nil:
		return nil, err
	case p.failed:
		return nil, invalidArgument("Prefix cannot contain !{firehose:error-output-type}, which is for ErrorOutputPrefix.")
	case p.expressions() && failures == "":
		return nil, invalidArgument("Ths supplied prefix(es) do not satisfy the following constraint: " + // sic
			"ErrorOutputPrefix cannot be null or empty when Prefix contains expressions")
	case failed.expressions() && !failed.failed:
		return nil, invalidArgument("ErrorOutputPrefix contains expressions, one of which must be !{firehose:error-output-type}.")
	}
	if !p.timed {
		pattern, err := javatime.Parse(defaultPrefix)
		if err != nil {
			return nil, err
		}
		p.pieces = append(p.pieces, prefixPiece{time: pattern})
	}
	for member, one := range map[string]*prefix{"Prefix": p, "ErrorOutputPrefix": failed} {
		if n := len(one.evaluate(time.Date(2026, 9, 30, 23, 59, 59, 999_999_999, time.UTC), "sample")); n > maxPrefixLen {
			return nil, invalidArgument("%s has %d characters when it is evaluated, more than %d.", member, n, maxPrefixLen)
		}
	}
	return p, nil
}

// evaluate returns the prefix of an object whose oldest record arrived at t, in the zone of t. Random strings are drawn from seed, so that
// the same object gets the same ones.
func (p *prefix) evaluate(t time.Time, seed string) string {
	var out []byte
	for i, piece := range p.pieces {
		switch {
		case piece.time != nil:
			out = piece.time.Append(out, t)
		case piece.random:
			out = append(out, randomString(fmt.Sprintf("%s/%d", seed, i))...)
		default:
			out = append(out, piece.text...)
		}
	}
	return string(out)
}

func randomString(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	out := make([]byte, randomLen)
	for i := range out {
		// Two bytes to a character: none is noticeably more likely than another.
		out[i] = randomAlphabet[(int(sum[2*i])<<8|int(sum[2*i+1]))%len(randomAlphabet)]
	}
	return string(out)
}
