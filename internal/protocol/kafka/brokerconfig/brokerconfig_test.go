package brokerconfig

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

var rows = []Setting{
	{Key: "age.hours", Type: kmsg.ConfigTypeInt, Default: "168", Effect: Enforced},
	{Key: "age.ms", Type: kmsg.ConfigTypeLong, None: true, Scope: ClusterWide, Effect: Enforced, Coarser: []string{"age.hours"}},
	{Key: "count", Type: kmsg.ConfigTypeInt, Default: "3", Scope: ClusterWide, Effect: Stored, Valid: Between(1, 10)},
	{Key: "fixed", Type: kmsg.ConfigTypeInt, Default: "1", Effect: Enforced},
	{Key: "fixed.too", Type: kmsg.ConfigTypeInt, Default: "1", Effect: Enforced},
	{Key: "keystore", Type: kmsg.ConfigTypeString, None: true, Scope: PerListener, Effect: Refused, Doc: "there are files"},
	{Key: "list", Type: kmsg.ConfigTypeList, Default: "a", Scope: ClusterWide, Effect: Enforced},
	{Key: "mine", Type: kmsg.ConfigTypeBoolean, Default: "true", Scope: PerBroker, Effect: Enforced},
	{Key: "plugin", Type: kmsg.ConfigTypeClass, None: true, Scope: ClusterWide, Effect: Refused, Doc: "there are no classes"},
	{Key: "share", Type: kmsg.ConfigTypeDouble, Default: "0.5", Scope: ClusterWide, Effect: Enforced, Valid: func(v string) string {
		if strings.HasPrefix(v, "-") {
			return "Value must be at least 0"
		}
		return ""
	}},
}

func open(t *testing.T, store state.Store, static Values, together func(before, after Lookup) error) *Store {
	t.Helper()
	s, err := Open(t.Context(), store, rows, static, together)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	remove   = kmsg.IncrementalAlterConfigOpDelete
	appended = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

// changed makes changes out of key=value; without = there is no value.
func changed(op kmsg.IncrementalAlterConfigOp, pairs ...string) []Change {
	var all []Change
	for _, pair := range pairs {
		c := Change{Op: op}
		if key, value, ok := strings.Cut(pair, "="); ok {
			c.Key, c.Value = key, &value
		} else {
			c.Key = key
		}
		all = append(all, c)
	}
	return all
}

func (s *Store) mustAlter(t *testing.T, level Level, changes []Change) {
	t.Helper()
	if _, err := s.Alter(t.Context(), level, changes, false, false); err != nil {
		t.Fatal(err)
	}
}

func describe(s *Store, key string) string {
	value, ok := s.Value(key)
	line := fmt.Sprint(value, " ", ok)
	for _, of := range s.Synonyms(key) {
		line += fmt.Sprintf(" %d:%s=%s", of.Source, of.Key, of.Value)
	}
	return line
}

func TestWhatHoldsIsTheNearest(t *testing.T) {
	store := memstate.New(clock.Real())
	s := open(t, store, Values{"age.hours": "24", "count": "4"}, nil)
	const broker, cluster = kmsg.ConfigSourceDynamicBrokerConfig, kmsg.ConfigSourceDynamicDefaultBrokerConfig
	const static, def = kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigSourceDefaultConfig
	expect := func(key, want string, args ...any) {
		t.Helper()
		if got, want := describe(s, key), fmt.Sprintf(want, args...); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	expect("count", "4 true %d:count=4 %d:count=3", static, def)
	expect("age.ms", " false") // that the hours are set does not make milliseconds
	s.mustAlter(t, Cluster, changed(set, "count=5", "age.ms=50"))
	s.mustAlter(t, Broker, changed(set, "count= 6 "))
	for range 2 { // the second time after a restart
		expect("count", "6 true %d:count=6 %d:count=5 %d:count=4 %d:count=3", broker, cluster, static, def)
		expect("age.ms", "50 true %d:age.ms=50 %d:age.hours=24 %d:age.hours=168", cluster, static, def)
		expect("age.hours", "24 true %d:age.hours=24 %d:age.hours=168", static, def)
		expect("no.such", " false")
		s = open(t, store, Values{"age.hours": "24", "count": "4"}, nil)
	}
	s.mustAlter(t, Broker, changed(remove, "count", "no.such", "fixed"))
	expect("count", "5 true %d:count=5 %d:count=4 %d:count=3", cluster, static, def)
	if did, err := s.Alter(t.Context(), Cluster, changed(set, "list=b"), true, true); did || err != nil || len(s.Set(Cluster)) != 2 {
		t.Errorf("validating only did %v, %v, leaves %v", did, err, s.Set(Cluster))
	}
	if did, err := s.Alter(t.Context(), Cluster, changed(set, "list=b"), true, false); !did || err != nil || len(s.Set(Cluster)) != 1 {
		t.Errorf("replacing did %v, %v, leaves %v", did, err, s.Set(Cluster))
	}
	s.mustAlter(t, Cluster, changed(remove, "list"))
	if docs, err := store.List(t.Context(), kind, ""); err != nil || len(docs) != 0 {
		t.Errorf("%v, %v", docs, err)
	}
}

func TestListsGrowAndShrink(t *testing.T) {
	s := open(t, memstate.New(clock.Real()), nil, nil)
	for _, row := range []struct {
		op   kmsg.IncrementalAlterConfigOp
		pair string
		want string
	}{
		{appended, "list=b, c", "a,b,c"}, {appended, "list=b", "a,b,c"}, {subtract, "list=a,x", "b,c"}, {subtract, "list=b,c", ""},
	} {
		s.mustAlter(t, Broker, changed(row.op, row.pair))
		if got, _ := s.Value("list"); got != row.want {
			t.Errorf("after %s: %s, want %s", row.pair, got, row.want)
		}
	}
}

// TestRefusalsAreKafkas: in its words and its order, as Apache Kafka 4.3.1 was seen to answer.
func TestRefusalsAreKafkas(t *testing.T) {
	s := open(t, memstate.New(clock.Real()), nil, func(_, after Lookup) error {
		if v, _ := after("count"); v == "9" {
			return Refuse("nine is too many")
		}
		return nil
	})
	for _, row := range []struct {
		level   Level
		changes []Change
		want    string
		kind    *kerr.Error
	}{
		{Broker, changed(set, "fixed=1", "fixed.too=2", "count=x"), "Cannot update these configs dynamically: [fixed, fixed.too]", kerr.InvalidRequest},
		{Broker, changed(set, "count=x", "fixed=1"), "Cannot update these configs dynamically: [fixed]", kerr.InvalidRequest},
		{Broker, changed(set, "count=x"), "Invalid value x for configuration count: Not a number of type INT", kerr.InvalidRequest},
		{Broker, changed(set, "count=99999999999"), "Invalid value 99999999999 for configuration count: Not a number of type INT", kerr.InvalidRequest},
		{Broker, changed(set, "count=0"), "Invalid value 0 for configuration count: Value must be at least 1", kerr.InvalidRequest},
		{Broker, changed(set, "count=11"), "Invalid value 11 for configuration count: Value must be no more than 10", kerr.InvalidRequest},
		{Broker, changed(set, "count=9"), "nine is too many", kerr.InvalidRequest},
		{Broker, changed(set, "age.ms="), "Invalid value  for configuration age.ms: Not a number of type LONG", kerr.InvalidRequest},
		{Broker, changed(set, "mine=maybe"), "Invalid value maybe for configuration mine: Expected value to be either true or false", kerr.InvalidRequest},
		{Broker, changed(set, "share=-5"), "Invalid value -5.0 for configuration share: Value must be at least 0", kerr.InvalidRequest},
		{Broker, changed(set, "share=half"), "Invalid value half for configuration share: Not a number of type DOUBLE", kerr.InvalidRequest},
		{Broker, changed(set, "keystore=/x"), "These security configs can be dynamically updated only per-listener using the listener prefix: [keystore]", kerr.InvalidRequest},
		{Broker, changed(set, "listener.name.x.keystore=/x"), "listener.name.x.keystore cannot be set here: what is one listener's own is set when the server starts", kerr.InvalidRequest},
		{Broker, changed(set, "plugin=x"), "plugin cannot be set here: there are no classes", kerr.InvalidRequest},
		{Broker, changed(set, "no.such=1"), "Unknown broker config name: no.such", kerr.InvalidRequest},
		{Cluster, changed(set, "mine=false", "plugin=x"), "Cannot update these configs at default cluster level, broker id must be specified: [mine]", kerr.InvalidRequest},
		{Cluster, changed(set, "mine=maybe"), "Invalid value maybe for configuration mine: Expected value to be either true or false", kerr.InvalidRequest},
		{Broker, changed(set, "count=2", "count=2"), "Error due to duplicate config keys", kerr.InvalidRequest},
		{Broker, changed(appended, "count", "list"), "Null value not supported for : count, list", kerr.InvalidRequest},
		{Broker, changed(appended, "fixed=1"), "Config value append is not allowed for config key: fixed", kerr.InvalidConfig},
		{Broker, changed(subtract, "no.such=1"), "Config value subtract is not allowed for config key: no.such", kerr.InvalidConfig},
		{Broker, changed(9, "count=1"), "Unknown operations type 9", kerr.InvalidRequest},
	} {
		for _, only := range []bool{true, false} {
			_, err := s.Alter(t.Context(), row.level, row.changes, false, only)
			if err == nil || err.Error() != row.want || !errors.Is(err, row.kind) {
				t.Errorf("%v: %v, want %s", row.changes, err, row.want)
			}
		}
	}
	if len(s.Set(Broker))+len(s.Set(Cluster)) > 0 {
		t.Errorf("%v, %v are set", s.Set(Broker), s.Set(Cluster))
	}
}

// What was kept and cannot be set any more is as if it were not; a document that is none is told.
func TestOpenForgetsWhatCannotBeSet(t *testing.T) {
	store := memstate.New(clock.Real())
	put := func(id, text string) {
		t.Helper()
		if _, err := store.Apply(t.Context(), state.Change{Key: state.Key{Kind: kind, ID: id}, If: state.Any, Value: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	put(string(Cluster), `{"count":"5","gone":"1","mine":"true","plugin":"x","share":"half"}`)
	if set := open(t, store, nil, nil).Set(Cluster); len(set) != 1 || set["count"] != "5" {
		t.Errorf("%v", set)
	}
	put(string(Broker), `[`)
	if _, err := Open(t.Context(), store, rows, nil, nil); err == nil || !strings.Contains(err.Error(), `"broker"`) {
		t.Errorf("%v", err)
	}
}

// TestDoublesAreWrittenAsJavaDoes by Double.toString.
func TestDoublesAreWrittenAsJavaDoes(t *testing.T) {
	for want, f := range map[string]float64{
		"0.5": 0.5, "1.0": 1, "-5.0": -5, "0.0": 0, "6.7108864E7": 64 << 20, "1.7976931348623157E308": math.MaxFloat64, "1.0E7": 1e7, "9999999.0": 9999999,
		"1.0E-4": 1e-4, "0.001": 1e-3, "1.5E10": 1.5e10,
	} {
		if got := Double(f); got != want {
			t.Errorf("%v is %s, want %s", f, got, want)
		}
	}
}
