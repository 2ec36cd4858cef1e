package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// deleteTopics deletes topics, each alone. v5 brings messages, v6 deleting by id.
func (s *Server) deleteTopics(ctx context.Context, c *Client, req *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	asked := req.Topics
	if req.Version < 6 {
		asked = nil
		for i := range req.TopicNames {
			asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &req.TopicNames[i]})
		}
	}
	for i := range asked {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID = asked[i].Topic, asked[i].TopicID
		st, err := s.deleteTopic(ctx, c, &asked[i])
		if st != nil {
			name := string(st.Name)
			t.Topic, t.TopicID = &name, st.ID
		}
		t.ErrorCode, t.ErrorMessage = code(err), errorMessage(err)
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func (s *Server) deleteTopic(ctx context.Context, c *Client, asked *kmsg.DeleteTopicsRequestTopic) (*stream.Stream, error) {
	var st *stream.Stream
	var err error
	switch {
	case asked.Topic == nil:
		st, err = s.topicByID(ctx, asked.TopicID)
	case !stream.ID(asked.TopicID).IsZero():
		return nil, refuse(kerr.InvalidRequest, "a topic is named by its name or its id, not both")
	default:
		st, err = s.topic(ctx, *asked.Topic)
	}
	if err != nil {
		return nil, err
	}
	if err = s.log.Delete(ctx, st.ID); err == nil {
		s.logger.Info("topic deleted", "topic", st.Name, "peer", c.Addr, "client", c.ID)
	}
	return st, err
}
