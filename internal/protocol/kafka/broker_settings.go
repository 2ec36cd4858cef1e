package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
)

// brokerSetting is one broker config, with what it is in a Config.
type brokerSetting struct {
	brokerconfig.Setting
	// set has a server start with a value, which was checked. nil if that is said in another way, or keep is true.
	set func(*Config, string)
	// read returns what a server is started with, "" for the default.
	read func(*Config) string
	// keep says that a server can be started with a value that Config has no field for: a topic's default, or one that is only stored.
	keep bool
}

// brokerSettings is the ledger of broker configs, by key.
var brokerSettings = func() []brokerSetting {
	all := slices.Concat(groupBrokerSettings(), streamsBrokerSettings(), shareBrokerSettings(), serverBrokerSettings(), fixedBrokerSettings(), coarseBrokerSettings(), topicBrokerSettings(),
		connectionBrokerSettings(), cleanerBrokerSettings(), storedBrokerSettings(), refusedBrokerSettings())
	slices.SortFunc(all, func(a, b brokerSetting) int { return strings.Compare(a.Key, b.Key) })
	return all
}()

// BrokerSettings returns the ledger of broker configs, by key.
func BrokerSettings() []brokerconfig.Setting {
	all := make([]brokerconfig.Setting, len(brokerSettings))
	for i := range brokerSettings {
		all[i] = brokerSettings[i].Setting
	}
	return all
}

func brokerSettingOf(key string) *brokerSetting {
	i, ok := slices.BinarySearchFunc(brokerSettings, key, func(t brokerSetting, key string) int { return strings.Compare(t.Key, key) })
	if !ok {
		return nil
	}
	return &brokerSettings[i]
}

// CheckProperty says what is wrong with starting a server with a broker config: nil if nothing is.
func CheckProperty(key, value string) error {
	switch t := brokerSettingOf(key); {
	case t == nil && strings.HasPrefix(key, "listener.name."):
		return brokerconfig.Refuse("%s cannot be set here: listeners have settings of their own", key)
	case t == nil:
		return brokerconfig.Refuse("Unknown broker config name: %s", key)
	case t.set == nil && !t.keep && t.Effect == brokerconfig.Refused:
		return brokerconfig.Refuse("%s cannot be set here: %s", key, t.Doc)
	case t.set == nil && !t.keep:
		return brokerconfig.Refuse("%s cannot be set here: it is always what it is, or has a setting of its own", key)
	default:
		return t.Check(value)
	}
}

// CheckProperties says what is wrong with starting a server with broker configs that are each good alone.
func CheckProperties(properties map[string]string) error {
	c := Config{Properties: properties}
	if err := c.setProperties(); err != nil {
		return err
	}
	c.setDefaults()
	return c.validate()
}

// validate says what is wrong of several fields together.
func (c *Config) validate() error {
	bounds := shareBounds(c)
	return errors.Join(c.Groups.Validate(), c.Shares.Validate(), bounds.Validate(), c.Transactions.Validate())
}

// setProperties sets what Config.Properties say in the other fields.
func (c *Config) setProperties() error {
	for _, key := range slices.Sorted(maps.Keys(c.Properties)) {
		value := strings.TrimSpace(c.Properties[key])
		if err := CheckProperty(key, value); err != nil {
			return fmt.Errorf("kafka: broker config %s=%s: %w", key, value, err)
		}
		if t := brokerSettingOf(key); t.set != nil {
			t.set(c, value)
		}
	}
	return nil
}

// static returns what a server of the Config is started with: what differs from the defaults, and what was given as a property.
func (c *Config) static() brokerconfig.Values {
	values := brokerconfig.Values{}
	for i := range brokerSettings {
		t := &brokerSettings[i]
		if t.read != nil {
			if v := t.read(c); v != "" && (v != t.Default || t.None) {
				values[t.Key] = v
			}
		}
		if v, ok := c.Properties[t.Key]; ok {
			values[t.Key] = strings.TrimSpace(v)
		}
	}
	return values
}

// settled makes a row that says what cannot be otherwise.
func settled(key string, kind kmsg.ConfigType, value, def, doc string) brokerSetting {
	t := brokerSetting{Setting: brokerconfig.Setting{Key: key, Type: kind, Default: def, None: def == "", Effect: brokerconfig.Enforced, Doc: doc}}
	if value != def {
		t.read = func(*Config) string { return value }
	}
	return t
}

// millisField makes a row of a time that is a field of Config, in which 0 stands for the default.
func millisField(key string, def time.Duration, least int64, doc string, field func(*Config) *time.Duration) brokerSetting {
	return timeField(key, kmsg.ConfigTypeInt, time.Millisecond, def, least, doc, field)
}

// timeField is millisField with another type or unit. A time of 0 that is not the default is -1 in the field.
func timeField(key string, kind kmsg.ConfigType, unit, def time.Duration, least int64, doc string, field func(*Config) *time.Duration) brokerSetting {
	text := func(d time.Duration) string { return strconv.FormatInt(int64(max(0, d)/unit), 10) }
	return brokerSetting{
		Setting: brokerconfig.Setting{Key: key, Type: kind, Default: text(def), Effect: brokerconfig.Enforced, Doc: doc, Valid: brokerconfig.AtLeast(least)},
		set: func(c *Config, v string) {
			*field(c) = time.Duration(min(number(v), math.MaxInt64/int64(unit))) * unit
			if def != 0 {
				*field(c) = cmp.Or(*field(c), -1)
			}
		},
		read: func(c *Config) string { return text(cmp.Or(*field(c), def)) },
	}
}

// countField makes a row of a number that is a field of Config, in which 0 stands for the default.
func countField[T int | int16 | int32 | int64](key string, kind kmsg.ConfigType, def T, least, most int64, doc string, field func(*Config) *T) brokerSetting {
	text := func(n T) string { return strconv.FormatInt(int64(n), 10) }
	return brokerSetting{
		Setting: brokerconfig.Setting{Key: key, Type: kind, Default: text(def), Effect: brokerconfig.Enforced, Doc: doc, Valid: brokerconfig.Between(least, most)},
		set:     func(c *Config, v string) { *field(c) = T(number(v)) },
		read:    func(c *Config) string { return text(cmp.Or(*field(c), def)) },
	}
}
