package constraint

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// pattern is a model's regular expression, compiled: the whole value must match accept, and its beginning must not match reject.
type pattern struct {
	class  *[128]bool // of a pattern [class]+ or [class]*, the commonest: faster than a regular expression
	accept *regexp.Regexp
	reject *regexp.Regexp
}

func (p *pattern) matches(value string) bool {
	if p.class != nil {
		for i := range len(value) {
			if c := value[i]; c >= 128 || !p.class[c] {
				return p.accept.MatchString(value)
			}
		}
		if value != "" {
			return true
		}
	}
	if p.reject != nil && p.reject.MatchString(value) {
		return false
	}
	return p.accept.MatchString(value)
}

// patterns caches compiled patterns by their text. Only the patterns of models enter it, so it is bounded by them.
var patterns sync.Map

func patternOf(text string) *pattern {
	if p, ok := patterns.Load(text); ok {
		return p.(*pattern)
	}
	p, err := compile(text)
	if err != nil {
		panic(err) // TestEveryPatternCompiles holds the models to it
	}
	patterns.Store(text, p)
	return p
}

// equivalents replaces patterns that look around, which regexp cannot, by others that accept the same values.
var equivalents = map[string]string{
	`jdbc:(redshift|postgresql)://((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+`: `jdbc:(redshift|postgresql)://([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+`,
}

// compile translates a Java regular expression. A look-ahead at its very beginning, (?!x), becomes reject.
func compile(text string) (*pattern, error) {
	expression := text
	if e, ok := equivalents[text]; ok {
		expression = e
	}
	expression = strings.ReplaceAll(expression, `\u`, `\x`)
	expression = fourDigits.ReplaceAllString(expression, `\x{$1}`)
	p := new(pattern)
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(expression, "^"), "(?!"); ok {
		negative, positive, err := closeGroup(rest)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", text, err)
		}
		if p.reject, err = regexp.Compile("^(?:" + negative + ")"); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", text, err)
		}
		expression = positive
	}
	var err error
	if p.accept, err = regexp.Compile("^(?:" + expression + ")$"); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	if p.reject == nil {
		p.class = classOf(expression)
	}
	return p, nil
}

var fourDigits = regexp.MustCompile(`\\x([0-9a-fA-F]{4})`)

// closeGroup splits what follows an opening parenthesis into the group and the rest.
func closeGroup(s string) (group, rest string, err error) {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], nil
			}
		}
	}
	return "", "", fmt.Errorf("unclosed group")
}

// classOf returns the ASCII members of a pattern which is one repeated character class, else nil.
func classOf(expression string) *[128]bool {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil || tree.Op != syntax.OpPlus && tree.Op != syntax.OpStar || tree.Sub[0].Op != syntax.OpCharClass {
		return nil
	}
	class := new([128]bool)
	runes := tree.Sub[0].Rune
	for i := 0; i < len(runes); i += 2 {
		for r := runes[i]; r <= min(runes[i+1], 127); r++ {
			class[r] = true
		}
	}
	return class
}
