package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// deletion is one topic of a DeleteTopics.
type deletion struct {
	asked *kmsg.DeleteTopicsRequestTopic
	st    *stream.Stream // nil if there is none
	err   error          // why it is not deleted
}

// key tells which topic it is about: two that name one topic, one by name and one by id, have the same.
func (d *deletion) key() topicKey {
	if d.st != nil {
		return topicKey{id: d.st.ID}
	}
	return topicKey{value(d.asked.Topic), d.asked.TopicID}
}

// deleteTopics deletes topics, each alone. v5 brings messages, v6 deleting by id. A topic that is named more than once is not deleted, and
// answered once.
func (s *Server) deleteTopics(ctx context.Context, c *Client, req *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	asked := req.Topics
	if req.Version < 6 {
		asked = nil
		for i := range req.TopicNames {
			asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &req.TopicNames[i]})
		}
	}
	all := make([]deletion, len(asked))
	for i := range asked {
		all[i].asked = &asked[i]
		all[i].st, all[i].err = s.topicToDelete(ctx, &asked[i])
	}
	again := repeated(all, (*deletion).key)
	told := map[topicKey]bool{}
	for i := range all {
		d := &all[i]
		if told[d.key()] {
			continue
		}
		told[d.key()] = true
		if again[d.key()] {
			d.err = errTopicTwice
		}
		if d.err == nil {
			d.err = s.deleteTopic(ctx, c, d.st, req.Version)
		}
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID = d.asked.Topic, d.asked.TopicID
		if d.st != nil {
			name := string(d.st.Name)
			t.Topic, t.TopicID = &name, d.st.ID
		}
		t.ErrorCode, t.ErrorMessage = code(d.err), errorMessage(d.err)
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// topicToDelete finds what is to be deleted by name or by id.
func (s *Server) topicToDelete(ctx context.Context, asked *kmsg.DeleteTopicsRequestTopic) (*stream.Stream, error) {
	byID := !stream.ID(asked.TopicID).IsZero()
	switch {
	case asked.Topic == nil && !byID:
		return nil, refuse(kerr.InvalidRequest, "Neither topic name nor id were specified.")
	case asked.Topic == nil:
		return s.topicByID(ctx, asked.TopicID)
	case byID:
		return nil, refuse(kerr.InvalidRequest, "You may not specify both topic name and topic id.")
	}
	return s.topic(ctx, *asked.Topic)
}

func (s *Server) deleteTopic(ctx context.Context, c *Client, st *stream.Stream, version int16) error {
	if err := c.mutate(st.Shards, version >= 5); err != nil {
		return err
	}
	err := s.log.Delete(ctx, st.ID)
	if err == nil {
		s.logger.Info("topic deleted", "topic", st.Name, "peer", c.Addr, "client", c.ID)
	}
	return err
}
