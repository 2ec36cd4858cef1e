package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// loggers sets the levels of the broker's loggers (KIP-412). The root is the one that both sides have.
func loggers(p *pair) error {
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	const root = "root"
	str := kmsg.StringPtr
	one := func(level string) []setting { return []setting{{set, root, &level}} }
	for _, row := range []struct {
		name, step string
		settings   []setting
	}{
		{broker, "a level", one("ERROR")},
		{broker, "a level that is finer than all", one("TRACE")},
		{broker, "a level that is coarser than all", one("FATAL")},
		{broker, "nothing", nil},
		{broker, "no level", one("OFF")},
		{broker, "a level in small letters", one("warn")},
		{broker, "a level of no letters", one("")},
		{broker, "no value", []setting{{set, root, nil}}},
		{broker, "taken back", []setting{{del, root, nil}}},
		{broker, "more of a level", []setting{{add, root, str("WARN")}}},
		{broker, "less of a level", []setting{{sub, root, str("WARN")}}},
		{broker, "no such logger", []setting{{set, "no.such", str("OFF")}}},
		{broker, "no such logger taken back", []setting{{del, "no.such", nil}}},
		{broker, "twice", []setting{{set, root, str("WARN")}, {set, root, str("INFO")}}},
		{broker, "one good and one wrong", []setting{{set, root, str("INFO")}, {set, "no.such", str("WARN")}}},
		{broker, "one wrong and one good", []setting{{set, "no.such", str("WARN")}, {set, root, str("INFO")}}},
		{everyBroker, "every broker", one("WARN")},
		{"9", "another broker", one("WARN")},
		{"one", "a broker that is no number", one("WARN")},
		{broker, "a level again", one("WARN")},
	} {
		for _, only := range []bool{true, false} {
			p.newestOf(fmt.Sprintf("%s, validate only %v", row.step, only), same(func() kmsg.Request {
				return altering(kmsg.ConfigResourceTypeBrokerLogger, row.name, only, row.settings)
			}))
		}
		p.newestOf(row.step+", then", same(func() kmsg.Request { return describingLogger(row.name, root) }))
	}
	p.each("in every version", func(*side, int16) kmsg.Request { return describingLogger(broker, root) })
	p.each("of none", func(*side, int16) kmsg.Request { return describingLogger(broker, "no.such") })
	p.each("all at once", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: broker}}
		return req
	})
	return nil
}

func describingLogger(broker, logger string) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: broker, ConfigNames: []string{logger}}}
	return req
}
