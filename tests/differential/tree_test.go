package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDifferences compares answers whose ids each server chose, whose topics come in another order, and whose errors differ.
func TestDifferences(t *testing.T) {
	answer := func(id byte, topics ...string) *kmsg.DeleteTopicsResponse {
		resp := kmsg.NewPtrDeleteTopicsResponse()
		for i, name := range topics {
			topic := kmsg.NewDeleteTopicsResponseTopic()
			topic.Topic, topic.TopicID = kmsg.StringPtr(name), [16]byte{id, byte(i) + 1}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp
	}
	refused := answer(3, "a", "b")
	refused.Topics[1].ErrorCode = 3
	for _, row := range []struct {
		name           string
		kafka, freshet *kmsg.DeleteTopicsResponse
		want           []difference
	}{
		{"alike but for ids and order", answer(1, "a", "b"), answer(2, "b", "a"), nil},
		{"another error", answer(1, "a", "b"), refused, []difference{{path: "Topics[b].ErrorCode", kafka: "0", freshet: "3"}}},
		{"a topic less", answer(1, "a", "b"), answer(2, "a"), []difference{{path: "Topics[b]", kafka: "present", freshet: "(absent)"}}},
		{"a topic twice", answer(1, "a"), answer(2, "a", "a"), []difference{{path: "Topics[a+1]", kafka: "(absent)", freshet: "present"}}},
	} {
		got := compare([2][]line{flatten(newSide("kafka", "", ""), row.kafka), flatten(newSide("freshet", "", ""), row.freshet)})
		if len(got) != len(row.want) || len(got) > 0 && got[0] != row.want[0] {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}
