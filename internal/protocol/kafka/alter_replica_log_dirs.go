package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterReplicaLogDirs moves partitions between directories (KIP-113): there is one, in which every partition stays.
func (s *Server) alterReplicaLogDirs(ctx context.Context, _ *Client, req *kmsg.AlterReplicaLogDirsRequest) *kmsg.AlterReplicaLogDirsResponse {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	at := map[string]int{} // topics in the answer
	for i := range req.Dirs {
		dir := &req.Dirs[i]
		for _, asked := range dir.Topics {
			n, ok := at[asked.Topic]
			if !ok {
				n = len(resp.Topics)
				at[asked.Topic] = n
				topic := kmsg.NewAlterReplicaLogDirsResponseTopic()
				topic.Topic = asked.Topic
				resp.Topics = append(resp.Topics, topic)
			}
			for _, partition := range asked.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = partition, code(s.moveToDir(ctx, dir.Dir, asked.Topic, partition))
				resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, p)
			}
		}
	}
	return resp
}

func (s *Server) moveToDir(ctx context.Context, dir, topic string, partition int32) error {
	if dir != s.cfg.DataDir {
		return refuse(kerr.LogDirNotFound, "the log is in %s", s.cfg.DataDir)
	}
	st, err := s.topic(ctx, topic)
	if err == nil {
		_, err = shard(st, partition)
	}
	return err
}
