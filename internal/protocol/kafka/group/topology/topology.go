// Package topology is what a Kafka Streams application does, as its members tell the coordinator of their group (KIP-1071): which topics each of its
// subtopologies reads and writes. Configure finds, among the topics that there are, how many tasks that makes and which of the application's own topics are
// still to be created.
package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// Topology is what an application does.
type Topology struct {
	Epoch         int32         `json:"epoch"` // grows with each other topology of the application
	Subtopologies []Subtopology `json:"subtopologies,omitempty"`
}

// Subtopology is a part that shares no topic with others but by way of repartition topics. It has a task for each partition of the topics that it reads.
type Subtopology struct {
	ID                 string     `json:"id"`
	Sources            []string   `json:"sources,omitempty"`            // topics of others that it reads
	Sinks              []string   `json:"sinks,omitempty"`              // repartition topics that it writes
	RepartitionSources []Topic    `json:"repartitionSources,omitempty"` // repartition topics that it reads
	Changelogs         []Topic    `json:"changelogs,omitempty"`         // of its state
	Copartitioned      [][]string `json:"copartitioned,omitempty"`      // groups of topics that it reads, which must have as many partitions as each other
}

// Topic is one that belongs to the application.
type Topic struct {
	Name        string   `json:"name"`
	Partitions  int32    `json:"partitions,omitempty"`  // 0 = as many as follow from the others
	Replication int16    `json:"replication,omitempty"` // 0 = as usual
	Configs     []Config `json:"configs,omitempty"`
}

// Config is one of a topic's configs.
type Config struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Stateful says whether the subtopology's tasks have state, which takes time to build.
func (s *Subtopology) Stateful() bool { return len(s.Changelogs) > 0 }

// Equal says whether two topologies are the same.
func (t *Topology) Equal(o *Topology) bool {
	return t.Epoch == o.Epoch && slices.EqualFunc(t.Subtopologies, o.Subtopologies, func(a, b Subtopology) bool { return a.equal(&b) })
}

func (s *Subtopology) equal(o *Subtopology) bool {
	same := func(a, b Topic) bool {
		return a.Name == b.Name && a.Partitions == b.Partitions && a.Replication == b.Replication && slices.Equal(a.Configs, b.Configs)
	}
	return s.ID == o.ID && slices.Equal(s.Sources, o.Sources) && slices.Equal(s.Sinks, o.Sinks) &&
		slices.EqualFunc(s.RepartitionSources, o.RepartitionSources, same) && slices.EqualFunc(s.Changelogs, o.Changelogs, same) &&
		slices.EqualFunc(s.Copartitioned, o.Copartitioned, slices.Equal[[]string])
}

// Normalize puts everything in order in which the order has no meaning, so that members that list their topics differently have the same topology.
func (t *Topology) Normalize() {
	byName := func(a, b Topic) int { return strings.Compare(a.Name, b.Name) }
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		slices.Sort(s.Sources)
		slices.Sort(s.Sinks)
		slices.SortFunc(s.RepartitionSources, byName)
		slices.SortFunc(s.Changelogs, byName)
		for _, topics := range [][]Topic{s.RepartitionSources, s.Changelogs} {
			for _, topic := range topics {
				slices.SortFunc(topic.Configs, func(a, b Config) int { return strings.Compare(a.Key, b.Key) })
			}
		}
		for _, c := range s.Copartitioned {
			slices.Sort(c)
		}
		slices.SortFunc(s.Copartitioned, slices.Compare[[]string])
	}
	slices.SortFunc(t.Subtopologies, func(a, b Subtopology) int { return strings.Compare(a.ID, b.ID) })
}

// Bytes returns what the topology takes, about.
func (t *Topology) Bytes() int64 {
	n := 0
	names := func(all []string) {
		for _, name := range all {
			n += len(name)
		}
	}
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		n += len(s.ID)
		names(s.Sources)
		names(s.Sinks)
		for _, c := range s.Copartitioned {
			names(c)
		}
		for _, topics := range [][]Topic{s.RepartitionSources, s.Changelogs} {
			for _, topic := range topics {
				n += len(topic.Name)
				for _, c := range topic.Configs {
					n += len(c.Key) + len(c.Value)
				}
			}
		}
	}
	return int64(n)
}

// Validate refuses what no application can be: STREAMS_INVALID_TOPOLOGY. valid says whether a topic may be called so, internal whether it is one
// that coordinators write themselves.
func (t *Topology) Validate(valid, internal func(name string) bool) error {
	if t.Epoch < 0 {
		return invalid("The topology's epoch %d is negative.", t.Epoch)
	}
	seen, names := map[string]bool{}, map[string]bool{}
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		if seen[s.ID] {
			return invalid("There are two subtopologies %s.", s.ID)
		}
		seen[s.ID] = true
		if len(s.Sources)+len(s.RepartitionSources) == 0 {
			return invalid("No source topics found for subtopology %s", s.ID)
		}
		for _, name := range slices.Concat(s.Sources, s.Sinks) {
			names[name] = true
		}
		for _, topic := range slices.Concat(s.RepartitionSources, s.Changelogs) {
			if topic.Partitions < 0 || topic.Replication < -1 {
				return invalid("Topic %s is to have %d partitions and %d replicas.", topic.Name, topic.Partitions, topic.Replication)
			}
			names[topic.Name] = true
		}
	}
	var prohibited, bad []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case internal(name):
			prohibited = append(prohibited, name)
		case !valid(name):
			bad = append(bad, name)
		}
	}
	if len(prohibited) > 0 {
		return invalid("Use of Kafka internal topics %s in a Kafka Streams topology is prohibited.", strings.Join(prohibited, ","))
	}
	if len(bad) > 0 {
		return invalid("Topic names %s are not valid topic names.", strings.Join(bad, ","))
	}
	return nil
}

func invalid(format string, args ...any) error {
	return refusal.New(kerr.StreamsInvalidTopology, "%s", fmt.Sprintf(format, args...))
}
