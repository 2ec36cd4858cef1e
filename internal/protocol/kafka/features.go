package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is a part of the protocol that clients use only where it is finalized (KIP-584).
type feature struct {
	name     string
	min, max int16 // levels that are there
	level    int16 // the one that is finalized
}

// features are those that are whole: by each a client concludes that all requests of it are served. Not among them are those of controllers among
// themselves: kraft.version, eligible.leader.replicas.version.
var features = []feature{
	{"group.version", 0, 1, 1}, // consumer groups of KIP-848
	// What Apache Kafka 4.3 writes into its log of metadata (4.3-IV0). There is none here, but tools tell by it which release a cluster is like: whose
	// configs and requests it has.
	{"metadata.version", 7, 30, 30},
	{"share.version", 0, 1, 1},       // share groups (KIP-932)
	{"streams.version", 0, 1, 1},     // streams groups (KIP-1071)
	{"transaction.version", 0, 2, 2}, // an epoch for each transaction, partitions that join by being written to (KIP-890)
}

// featuresEpoch counts the changes of finalized levels: there was none since the first.
const featuresEpoch = 0

// addFeatures tells the features. Before v4 clients fail over a level of 0, so that one whose lowest it is is not among the supported ones.
func addFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	resp.FinalizedFeaturesEpoch = featuresEpoch
	for _, f := range features {
		if f.min > 0 || version >= 4 {
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.name, f.min, f.max
			resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		}
		l := kmsg.NewApiVersionsResponseFinalizedFeature()
		l.Name, l.MaxVersionLevel, l.MinVersionLevel = f.name, f.level, f.level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, l)
	}
}
