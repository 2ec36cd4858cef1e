package brokerconfig

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// Change is one operation on a config (KIP-339).
type Change struct {
	Key   string
	Op    kmsg.IncrementalAlterConfigOp
	Value *string // not looked at by Delete
}

// Alter makes changes to what is set at a level, or makes them all that is set, if replace is true: all or none; durable when it returns. With
// validateOnly it only says whether it would. It returns whether anything was changed.
func (s *Store) Alter(ctx context.Context, level Level, changes []Change, replace, validateOnly bool) (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := wellFormed(changes); err != nil {
		return false, err
	}
	before := s.Set(level)
	after := Values{}
	if !replace {
		maps.Copy(after, before)
	}
	for i := range changes {
		if err := s.apply(after, &changes[i]); err != nil {
			return false, err
		}
	}
	if err := s.check(level, after, changes); err != nil {
		return false, err
	}
	if s.together != nil {
		now, then := s.sets(), s.sets()
		then[level] = after
		if err := s.together(s.lookup(now), s.lookup(then)); err != nil {
			return false, err
		}
	}
	if validateOnly || maps.Equal(before, after) {
		return false, nil
	}
	return true, s.keep(ctx, level, after)
}

func (s *Store) sets() map[Level]Values {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.set)
}

// wellFormed checks what is asked for before anybody looks at what the keys are.
func wellFormed(changes []Change) error {
	seen := map[string]bool{}
	var null []string
	for _, c := range changes {
		if seen[c.Key] {
			return Refuse("Error due to duplicate config keys")
		}
		if seen[c.Key] = true; c.Value == nil && c.Op != kmsg.IncrementalAlterConfigOpDelete {
			null = append(null, c.Key)
		}
	}
	if len(null) > 0 {
		return Refuse("Null value not supported for : %s", strings.Join(null, ", "))
	}
	return nil
}

// apply makes one change to what is set.
func (s *Store) apply(set Values, c *Change) error {
	switch c.Op {
	case kmsg.IncrementalAlterConfigOpDelete:
		delete(set, c.Key)
		return nil
	case kmsg.IncrementalAlterConfigOpSet:
		set[c.Key] = strings.TrimSpace(*c.Value)
		return nil
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
	default:
		return Refuse("Unknown operations type %d", c.Op)
	}
	appends := c.Op == kmsg.IncrementalAlterConfigOpAppend
	t := s.Setting(c.Key)
	if t == nil || t.Type != kmsg.ConfigTypeList {
		verb := map[bool]string{true: "append", false: "subtract"}[appends]
		return refusal.New(kerr.InvalidConfig, "Config value %s is not allowed for config key: %s", verb, c.Key)
	}
	now, ok := set[c.Key]
	if !ok {
		now = t.Default
	}
	items := list(now)
	for _, item := range list(*c.Value) {
		at := slices.Index(items, item)
		switch {
		case appends && at < 0:
			items = append(items, item)
		case !appends && at >= 0:
			items = slices.Delete(items, at, at+1)
		}
	}
	set[c.Key] = strings.Join(items, ",")
	return nil
}

func list(v string) []string {
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// check refuses what cannot be set at a level, in the order in which Kafka does. Keys are told in the order of the request.
func (s *Store) check(level Level, set Values, changes []Change) error {
	var keys []string
	for _, c := range changes {
		if _, ok := set[c.Key]; ok {
			keys = append(keys, c.Key)
		}
	}
	for _, group := range []struct {
		words string
		wrong func(*Setting) bool
	}{
		{"Cannot update these configs dynamically: ", func(t *Setting) bool { return t.Scope == Static }},
		{"These security configs can be dynamically updated only per-listener using the listener prefix: ", func(t *Setting) bool { return t.Scope == PerListener }},
	} {
		wrong := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { t := s.Setting(key); return t == nil || !group.wrong(t) })
		if len(wrong) > 0 {
			return Refuse("%s[%s]", group.words, strings.Join(wrong, ", "))
		}
	}
	for _, key := range keys {
		t := s.Setting(key)
		if t == nil {
			return s.unknown(key)
		}
		if err := t.Check(set[key]); err != nil {
			return err
		}
	}
	wrong := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return level == Broker || s.Setting(key).Scope != PerBroker })
	if len(wrong) > 0 {
		return Refuse("Cannot update these configs at default cluster level, broker id must be specified: [%s]", strings.Join(wrong, ", "))
	}
	for _, key := range keys {
		if t := s.Setting(key); t.Effect == Refused {
			return Refuse("%s cannot be set here: %s", key, t.Doc)
		}
	}
	return nil
}

// unknown refuses a key that no setting has. Kafka keeps such for plugins, which there are none of here, and so keeps a slip of the pen.
func (s *Store) unknown(key string) error {
	if strings.HasPrefix(key, "listener.name.") {
		return Refuse("%s cannot be set here: what is one listener's own is set when the server starts", key)
	}
	return Refuse("Unknown broker config name: %s", key)
}
