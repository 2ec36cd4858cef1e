package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// createPartitions adds partitions to topics, each alone.
func (s *Server) createPartitions(ctx context.Context, c *Client, req *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	again := repeated(req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) string { return t.Topic })
	told := map[string]bool{}
	for i := range req.Topics {
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic = req.Topics[i].Topic
		if told[t.Topic] {
			continue
		}
		told[t.Topic] = true
		err := errTopicTwice
		if !again[t.Topic] {
			err = s.addPartitions(ctx, c, &req.Topics[i], req.Version, req.ValidateOnly)
		}
		t.ErrorCode, t.ErrorMessage = code(err), errorMessage(err)
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func (s *Server) addPartitions(ctx context.Context, c *Client, t *kmsg.CreatePartitionsRequestTopic, version int16, validateOnly bool) error {
	s.alter.Lock()
	defer s.alter.Unlock()
	st, err := s.topic(ctx, t.Topic)
	if err != nil {
		return err
	}
	switch {
	case t.Count == st.Shards:
		return refuse(kerr.InvalidPartitions, "Topic already has %d partition(s).", st.Shards)
	case t.Count < st.Shards:
		return refuse(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, st.Shards, t.Count)
	case t.Count > s.cfg.MaxPartitions:
		return refuse(kerr.InvalidPartitions, "Number of partitions must be from 1 to %d, not %d.", s.cfg.MaxPartitions, t.Count)
	case t.Assignment != nil && len(t.Assignment) != int(t.Count-st.Shards):
		return refuse(kerr.InvalidReplicaAssignment, "%d partitions are added and %d assigned", t.Count-st.Shards, len(t.Assignment))
	}
	for i := range t.Assignment {
		if err = s.checkBrokers(t.Assignment[i].Replicas); err != nil {
			return err
		}
	}
	if validateOnly {
		return nil
	}
	if err = c.mutate(t.Count-st.Shards, version >= 3); err != nil {
		return err
	}
	if _, err = s.log.Alter(ctx, st.ID, stream.Change{Shards: &t.Count}); err == nil {
		s.logger.Info("partitions added", "topic", t.Topic, "before", st.Shards, "partitions", t.Count, "peer", c.Addr, "client", c.ID)
	}
	return err
}
