// Package msk is the control plane of Amazon MSK (the API kafka, 2018-11-14) on a node: clusters, configurations with their revisions,
// operations, topics, policies, tags and SCRAM secrets. Service is its entry. What serves the clients of a cluster, a Plane, is given to it: each
// cluster is a namespace of topics and groups with listeners of its own, on the node's one log.
//
// What a cluster costs at AWS, instances, volumes, subnets and throughput, is stored and returned. Changes take effect before they are
// answered, so that an operation is complete when it is first looked at.
//
// It refuses to connect clusters: replicators, VPC connections and channels are refused by name.
package msk
