package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// api is one row of the table: a request, the versions of it that are advertised and served, and who serves it.
type api struct {
	key      kmsg.Key
	min, max int16
	// serve is nil where raw is set. A nil response closes the connection.
	serve func(s *Server, ctx context.Context, c *Client, req kmsg.Request) kmsg.Response
	// waits says that serve may wait for long: its context then also ends when the client hangs up.
	waits bool
	// raw serves requests whose bytes are too many to be decoded and copied: it reads r.Body itself.
	raw func(s *Server, ctx context.Context, c *Client, r *wire.Request) (wire.Answer, error)

	flexible int16 // the first version with tagged fields
}

// call makes a table entry of a handler, which is a method such as
//
//	func (s *Server) joinGroup(ctx context.Context, c *Client, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse
//
// A handler is called with one request of a connection at a time and may block. The response's version is set by the caller. req and
// its byte slices are the handler's to keep.
func call[Q kmsg.Request, R interface {
	comparable
	kmsg.Response
}](serve func(*Server, context.Context, *Client, Q) R) func(*Server, context.Context, *Client, kmsg.Request) kmsg.Response {
	return func(s *Server, ctx context.Context, c *Client, req kmsg.Request) kmsg.Response {
		var none R
		resp := serve(s, ctx, c, req.(Q))
		if resp == none {
			return nil
		}
		return resp
	}
}

// coreAPIs are the requests about the cluster, its topics and their records. The lowest versions are Apache Kafka 4.0's, or lower where
// that costs nothing: old clients disable features whose lowest version they do not know. The highest are 4.3's.
func coreAPIs() []api {
	return []api{
		{key: kmsg.Produce, min: 0, max: 13, raw: (*Server).produce},
		{key: kmsg.Fetch, min: 4, max: 18, raw: (*Server).fetch},
		{key: kmsg.ListOffsets, min: 0, max: 11, serve: call((*Server).listOffsets)},
		{key: kmsg.Metadata, min: 0, max: 13, serve: call((*Server).metadata)},
		{key: kmsg.ApiVersions, min: 0, max: 4, serve: call((*Server).apiVersions)},
		{key: kmsg.CreateTopics, min: 0, max: 7, serve: call((*Server).createTopics)},
		{key: kmsg.DeleteTopics, min: 0, max: 6, serve: call((*Server).deleteTopics)},
		{key: kmsg.DeleteRecords, min: 0, max: 2, serve: call((*Server).deleteRecords)},
		{key: kmsg.InitProducerID, min: 0, max: 5, serve: call((*Server).initProducerID)},
		{key: kmsg.OffsetForLeaderEpoch, min: 0, max: 4, serve: call((*Server).offsetForLeaderEpoch)},
		{key: kmsg.DescribeACLs, min: 0, max: 3, serve: call((*Server).describeACLs)},
		{key: kmsg.CreateACLs, min: 0, max: 3, serve: call((*Server).createACLs)},
		{key: kmsg.DeleteACLs, min: 0, max: 3, serve: call((*Server).deleteACLs)},
		{key: kmsg.DescribeConfigs, min: 0, max: 4, serve: call((*Server).describeConfigs)},
		{key: kmsg.AlterConfigs, min: 0, max: 2, serve: call((*Server).alterConfigs)},
		{key: kmsg.DescribeLogDirs, min: 0, max: 5, serve: call((*Server).describeLogDirs)},
		{key: kmsg.CreatePartitions, min: 0, max: 3, serve: call((*Server).createPartitions)},
		{key: kmsg.ElectLeaders, min: 0, max: 2, serve: call((*Server).electLeaders)},
		{key: kmsg.IncrementalAlterConfigs, min: 0, max: 1, serve: call((*Server).incrementalAlterConfigs)},
		{key: kmsg.ListPartitionReassignments, min: 0, max: 0, serve: call((*Server).listPartitionReassignments)},
		{key: kmsg.DescribeCluster, min: 0, max: 2, serve: call((*Server).describeCluster)},
		{key: kmsg.DescribeProducers, min: 0, max: 0, serve: call((*Server).describeProducers)},
		{key: kmsg.ListConfigResources, min: 0, max: 1, serve: call((*Server).listConfigResources)},
		{key: kmsg.DescribeTopicPartitions, min: 0, max: 0, serve: call((*Server).describeTopicPartitions)},
	}
}

// table returns all rows by key.
func table() map[int16]*api {
	rows := slices.Concat(coreAPIs(), groupAPIs(), transactionAPIs(), securityAPIs(), quotaAPIs(), clusterAPIs())
	byKey := make(map[int16]*api, len(rows))
	for i := range rows {
		row := &rows[i]
		req := kmsg.RequestForKey(row.key.Int16())
		for req.SetVersion(row.flexible); !req.IsFlexible() && row.flexible <= row.max; req.SetVersion(row.flexible) {
			row.flexible++
		}
		byKey[row.key.Int16()] = row
	}
	return byKey
}

// Flexible says whether a version of a request has tagged fields.
func (s *Server) Flexible(key, version int16) bool {
	a := s.apis[key]
	return a != nil && version >= a.flexible
}
