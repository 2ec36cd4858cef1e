package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

// offsetsConfigs are those that Apache Kafka makes the topic of committed offsets with (GroupCoordinatorService.groupMetadataTopicConfigs).
var offsetsConfigs = []struct{ key, value string }{{"cleanup.policy", "compact"}, {"compression.type", "producer"}, {"segment.bytes", "104857600"}}

// internalName says whether a name is one that Apache Kafka has for topics of its own, of which there is one here.
func internalName(name string) bool {
	return name == offsets.Topic || name == "__transaction_state" || name == "__share_group_state"
}

// needOffsetsTopic makes the topic of committed offsets if there is none yet, as Kafka does when a group's coordinator is first asked for. That it cannot be
// made keeps no group from working.
func (s *Server) needOffsetsTopic(ctx context.Context) {
	if _, err := s.offsetsTopic(ctx); err != nil && s.offsetsFailed.CompareAndSwap(false, true) {
		s.logger.Warn("topic of committed offsets cannot be made; groups work all the same", "topic", offsets.Topic, "error", err)
	}
}

// offsetsTopic returns the topic of committed offsets, or what else has its name, and makes it if there is neither.
func (s *Server) offsetsTopic(ctx context.Context) (*stream.Stream, error) {
	st, err := s.log.Stream(ctx, offsets.Topic)
	if !errors.Is(err, stream.ErrNotFound) {
		return st, err
	}
	settings := make([]setting, len(offsetsConfigs))
	for i := range offsetsConfigs {
		settings[i] = setting{offsetsConfigs[i].key, &offsetsConfigs[i].value}
	}
	s.defaulting.RLock()
	defer s.defaulting.RUnlock()
	spec := stream.Spec{Name: offsets.Topic, Shards: offsets.Partitions}
	if spec.Config, spec.Labels, err = s.configure(s.defaults.Load().config, nil, settings); err != nil {
		return nil, err
	}
	internalTopic(&spec)
	st, err = s.log.Create(ctx, spec)
	if errors.Is(err, stream.ErrExists) { // another client was quicker
		return s.log.Stream(ctx, offsets.Topic)
	}
	if err == nil {
		s.logger.Info("topic created", "topic", offsets.Topic, "partitions", st.Shards, "reason", "there are groups")
	}
	return st, err
}

// internalTopic makes a new topic the one of committed offsets, if it has its name.
func internalTopic(spec *stream.Spec) {
	if spec.Name != offsets.Topic {
		return
	}
	for name, value := range offsets.Labels(spec.Shards) {
		spec.Labels[name] = value
	}
}

// errInternalTopic answers who would write to the topic of committed offsets, or trim it.
var errInternalTopic = refuse(kerr.InvalidTopicException, "%s", kerr.InvalidTopicException.Description)
