package group

import (
	"bytes"
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// interest is what members of a consumer group want to read: topics by name, and those whose whole name matches a pattern. Members who want the
// same share one, so that a topic's coming and going is looked at once for all of them.
type interest struct {
	names    []string // in order, none twice
	pattern  *pattern // nil = none
	key      string   // tells it from others
	size     int64    // what it takes, as each of its members has it sent
	members  int
	resolved *assignor.Subscription // the topics of it that exist
	topics   []string               // their names, in the same order
}

// pattern is a regular expression in RE2's syntax, and the topics that match it.
type pattern struct {
	text    string
	whole   *regexp.Regexp
	as      *Topics         // what matched was found among
	matched map[string]bool // names of topics, both ways
	visible func(topic string) bool
}

// newPattern compiles a pattern. INVALID_REGULAR_EXPRESSION.
func newPattern(text string) (*pattern, error) {
	if len(text) > MaxPatternBytes {
		return nil, refusal.New(kerr.InvalidRegularExpression, "SubscribedTopicRegex of %d bytes is longer than %d.", len(text), MaxPatternBytes)
	}
	_, err := regexp.Compile(text) // alone first: a stray parenthesis must not fit into what is put around it
	var whole *regexp.Regexp
	if err == nil {
		whole, err = regexp.Compile(`\A(?:` + text + `)\z`)
	}
	if err != nil {
		var wrong *syntax.Error
		if errors.As(err, &wrong) {
			err = errors.New(wrong.Code.String())
		}
		return nil, refusal.New(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %v.", text, err)
	}
	return &pattern{text: text, whole: whole}, nil
}

// match looks at the topics that are new since the last time.
func (p *pattern) match(t *Topics) {
	if p.as == t {
		return
	}
	matched := make(map[string]bool, len(t.names))
	for _, name := range t.names {
		is, known := p.matched[name]
		if !known {
			is = p.whole.MatchString(name)
		}
		matched[name] = is
	}
	p.as, p.matched = t, matched
}

// interestKey tells interests apart.
func interestKey(names []string, pattern string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(strconv.Itoa(len(n)))
		b.WriteByte(':')
		b.WriteString(n)
	}
	return b.String() + "/" + pattern
}

// resolve finds the topics of the interest, and returns false if they are the same as before, with as many partitions.
func (s *interest) resolve(t *Topics) bool {
	names := s.names
	if s.pattern != nil {
		s.pattern.match(t)
		names = slices.Clone(s.names)
		for _, name := range t.names {
			if s.pattern.matched[name] && s.pattern.shows(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	next := &assignor.Subscription{}
	for _, name := range names {
		if st := t.byName[name]; st != nil {
			next.Topics = append(next.Topics, assignor.Topic{ID: st.ID, Partitions: st.Shards})
		}
	}
	slices.SortFunc(next.Topics, func(a, b assignor.Topic) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if s.resolved != nil && slices.Equal(s.resolved.Topics, next.Topics) {
		return false
	}
	s.resolved = next
	s.topics = s.topics[:0:0]
	for _, topic := range next.Topics {
		s.topics = append(s.topics, t.Name(topic.ID))
	}
	return true
}

func (s *interest) patternText() string {
	if s.pattern == nil {
		return ""
	}
	return s.pattern.text
}

// interest returns the interest in names, which it takes over, and a pattern. INVALID_REGULAR_EXPRESSION; GROUP_MAX_SIZE_REACHED if the group
// has too many patterns.
func (m *ConsumerMachine) interest(names []string, text string) (*interest, error) {
	slices.Sort(names)
	names = slices.Compact(names)
	key := interestKey(names, text)
	if s := m.interests[key]; s != nil {
		return s, nil
	}
	s := &interest{names: names, key: key, size: int64(len(key))}
	if text != "" {
		if err := m.pattern(s, text); err != nil {
			return nil, err
		}
	}
	s.resolve(m.topics)
	return s, nil
}

func (m *ConsumerMachine) pattern(s *interest, text string) (err error) {
	patterns := map[*pattern]bool{}
	for _, other := range m.interests {
		if other.pattern == nil {
			continue
		}
		if other.pattern.text == text {
			s.pattern = other.pattern
			return nil
		}
		patterns[other.pattern] = true
	}
	if len(patterns) >= MaxPatterns {
		return refusal.New(kerr.GroupMaxSizeReached, "The group has %d regular expressions already.", len(patterns))
	}
	s.pattern, err = newPattern(text)
	return err
}

// subscribe makes s what mem wants to read. It returns false if it was so before.
func (m *ConsumerMachine) subscribe(mem *consumer, s *interest) bool {
	if mem.sub == s {
		return false
	}
	m.unsubscribe(mem)
	mem.sub = s
	s.members++
	m.interests[s.key] = s
	return true
}

func (m *ConsumerMachine) unsubscribe(mem *consumer) {
	if s := mem.sub; s != nil {
		mem.sub = nil
		if s.members--; s.members == 0 {
			delete(m.interests, s.key)
		}
	}
}
