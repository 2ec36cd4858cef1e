package main

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// line is one value of an answer, by its path: Topics[a].Partitions[0].ErrorCode.
type line struct{ path, value string }

// flatten turns an answer into lines. Elements of a list are addressed by what names them, so that a list in another order is equal.
func flatten(s *side, resp kmsg.Response) []line {
	w := walker{side: s}
	w.walk("", "", reflect.ValueOf(resp).Elem())
	return w.lines
}

type walker struct {
	side  *side
	lines []line
}

// names are the fields that tell elements of a list apart, the first that an element has.
var names = []string{"Topic", "TopicID", "ApiKey", "Partition", "Index", "Group", "GroupID", "MemberID", "ResourceName", "Name", "ConfigName", "NodeID", "Dir", "Feature", "TransactionalID", "User", "ProducerID", "TokenID"}

// masked are the fields of each side's own: how they look is compared, not what they say.
var masked = map[string]string{
	"Host": "host", "Port": "port", "ClusterID": "cluster", "Rack": "rack", "Dir": "dir", "Size": "size", "TotalBytes": "bytes", "UsableBytes": "bytes",
	"FinalizedFeaturesEpoch": "epoch", "Documentation": "documentation",
}

// chosen are the fields whose values a server chooses, by the kind of their symbols.
var chosen = map[string]string{"MemberID": "member", "LeaderID": "member", "Leader": "member", "TokenID": "token"}

// deadlines are times that are compared to a minute, by how far they are away: the sides are asked one after the other.
var deadlines = map[string]bool{"ExpiryTimestamp": true, "MaxTimestamp": true}

// numbered are the same where values are numbers; from is the first that identifies anything.
var numbered = map[string]struct {
	kind string
	from int64
}{"ProducerID": {"producer", 0}, "SessionID": {"session", 1}}

func (w *walker) add(path, value string) { w.lines = append(w.lines, line{path, value}) }

func (w *walker) walk(path, field string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			w.add(path, "null")
			return
		}
		w.walk(path, field, v.Elem())
	case reflect.Struct:
		if k, ok := v.Interface().(kmsg.ApiVersionsResponseApiKey); ok {
			w.add(path, fmt.Sprintf("%s %d-%d", kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion))
			return
		}
		w.identify(v)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name == "Version" && path == "" || name == "UnknownTags" {
				continue
			}
			w.walk(strings.TrimPrefix(path+"."+name, "."), name, v.Field(i))
		}
	case reflect.Slice:
		w.slice(path, field, v)
	case reflect.Array: // only uuids
		w.add(path, w.uuid(v))
	default:
		w.add(path, w.scalar(field, v))
	}
}

// identify names a topic's id after the topic where both are told.
func (w *walker) identify(v reflect.Value) {
	id, name := v.FieldByName("TopicID"), v.FieldByName("Topic")
	if name.IsValid() && name.Kind() == reflect.Pointer {
		name = name.Elem()
	}
	if id.IsValid() && name.IsValid() && !id.IsZero() && name.String() != "" {
		w.side.call(uuid(id), "id of "+name.String())
	}
}

func (w *walker) slice(path, field string, v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		w.bytes(path, field, v)
		return
	}
	taken := map[string]int{}
	for i := range v.Len() {
		key := w.key(i, v.Index(i))
		if taken[key]++; taken[key] > 1 {
			key += "+" + strconv.Itoa(taken[key]-1)
		}
		path := path + "[" + key + "]"
		if v.Index(i).Kind() == reflect.Struct {
			w.add(path, "present")
		}
		w.walk(path, field, v.Index(i))
	}
}

// key addresses an element of a list.
func (w *walker) key(i int, v reflect.Value) string {
	if v.Kind() != reflect.Struct {
		return strconv.Itoa(i)
	}
	if key, ok := w.ruleKey(v.Interface()); ok {
		return key
	}
	if key, ok := quotaKey(v.Interface()); ok {
		return key
	}
	for _, name := range names {
		f := v.FieldByName(name)
		if !f.IsValid() || f.Kind() == reflect.Pointer && f.IsNil() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch f.Kind() {
		case reflect.Array:
			if !f.IsZero() {
				return w.uuid(f)
			}
		case reflect.String:
			if id := v.FieldByName("TopicID"); name == "Topic" && f.Len() == 0 && id.IsValid() && !id.IsZero() {
				continue // told by its id alone
			}
			if s := w.scalar(name, f); s != `""` || name == "Group" || name == "Topic" || name == "User" {
				return strings.Trim(s, `"`) + kind(v)
			}
		case reflect.Int32, reflect.Int16, reflect.Int64:
			return w.scalar(name, f)
		}
	}
	return strconv.Itoa(i)
}

// kind tells resources of one name apart.
func kind(v reflect.Value) string {
	for _, name := range []string{"Type", "ResourceType"} {
		if f := v.FieldByName(name); f.IsValid() && f.CanInt() {
			return fmt.Sprintf("/%d", f.Int())
		}
	}
	return ""
}

// uuid is the name of a topic's id, or the id in hexadecimal digits.
func (w *walker) uuid(v reflect.Value) string {
	if v.IsZero() {
		return "none"
	}
	text := uuid(v)
	if name, ok := w.side.symbols[text]; ok {
		return name
	}
	return text
}

func uuid(v reflect.Value) string {
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return hex.EncodeToString(b)
}

func (w *walker) scalar(field string, v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	if mask, ok := masked[field]; ok {
		return mask
	}
	switch {
	case v.Kind() == reflect.String:
		if kind, ok := chosen[field]; ok && text != "" && text != "nobody" {
			return w.side.symbol(kind, text)
		}
		return w.resource(text)
	case numbered[field].kind != "" && v.Int() >= numbered[field].from:
		return w.side.symbol(numbered[field].kind, text)
	case deadlines[field] && v.Int() > 1e12:
		return fmt.Sprintf("in %v", time.Until(time.UnixMilli(v.Int())).Round(time.Minute))
	case field == "SessionLifetimeMillis":
		return (time.Duration(v.Int()) * time.Millisecond).Round(time.Minute).String()
	case v.Kind() == reflect.Int64 && v.Int() > 1e12:
		return "time"
	}
	return text
}

// bytes are record batches where a Fetch returns them, and else compared as they are.
func (w *walker) bytes(path, field string, v reflect.Value) {
	b := v.Bytes()
	if field == "HMAC" && len(b) > 0 {
		w.add(path, fmt.Sprintf("%d bytes called %s", len(b), w.side.symbol("secret", string(b))))
		return
	}
	if field != "RecordBatches" {
		w.add(path, fmt.Sprintf("%d bytes %s", len(b), hex.EncodeToString(b[:min(len(b), 64)])))
		return
	}
	w.add(path+".bytes", strconv.Itoa(len(b)))
	for i := 0; len(b) > 0; i++ {
		size, ok := batch.Size(b)
		if !ok || size > len(b) {
			w.add(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%d bytes of a batch", len(b)))
			return
		}
		h, err := batch.Verify(b[:size])
		if err != nil {
			w.add(fmt.Sprintf("%s[%d]", path, i), err.Error())
		} else {
			w.add(fmt.Sprintf("%s[%d]", path, i), w.header(&h))
		}
		b = b[size:]
	}
}

func (w *walker) header(h *batch.Header) string {
	producer := "none"
	if h.ProducerID >= 0 {
		producer = w.side.symbol("producer", strconv.FormatInt(h.ProducerID, 10))
	}
	return fmt.Sprintf("offsets %d-%d attributes %d records %d producer %s epoch %d sequence %d", h.BaseOffset, h.LastOffset(), h.Attributes, h.Records,
		producer, h.ProducerEpoch, h.BaseSequence)
}

// sorted returns the keys of a map in order.
func sorted[K interface{ ~int16 | ~int32 | ~string }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
