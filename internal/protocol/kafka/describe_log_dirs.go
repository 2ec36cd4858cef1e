package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// describeLogDirs tells how many bytes partitions take. There is one directory, as all of them share one log. v4 tells the size of its disk;
// -1 stands for one that cannot be told. v5 tells that partitions may be put there (KIP-1066).
func (s *Server) describeLogDirs(ctx context.Context, _ *Client, req *kmsg.DescribeLogDirsRequest) *kmsg.DescribeLogDirsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes = s.cfg.DataDir, -1, -1
	if s.cfg.DiskSpace != nil && req.Version >= 4 {
		if total, usable, err := s.cfg.DiskSpace(ctx); err == nil {
			dir.TotalBytes, dir.UsableBytes = total, usable
		} else {
			s.logger.Warn("disk space cannot be told", "directory", s.cfg.DataDir, "error", err)
		}
	}
	if req.Topics == nil {
		all, err := s.log.Streams(ctx)
		dir.ErrorCode = code(err)
		for _, st := range all {
			partitions := make([]int32, st.Shards)
			for i := range partitions {
				partitions[i] = int32(i)
			}
			dir.Topics = append(dir.Topics, s.dirTopic(ctx, st, partitions))
		}
	}
	for i := range req.Topics {
		// A topic or partition that is not there is left out, as it is in no directory, and so is a topic of which no partition is there.
		st, err := s.topic(ctx, req.Topics[i].Topic)
		if err != nil {
			continue
		}
		if t := s.dirTopic(ctx, st, req.Topics[i].Partitions); len(t.Partitions) > 0 {
			dir.Topics = append(dir.Topics, t)
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp
}

func (s *Server) dirTopic(ctx context.Context, st *stream.Stream, partitions []int32) kmsg.DescribeLogDirsResponseDirTopic {
	t := kmsg.NewDescribeLogDirsResponseDirTopic()
	t.Topic = string(st.Name)
	for _, i := range partitions {
		address, err := shard(st, i)
		if err != nil {
			continue
		}
		bounds, err := s.log.Bounds(ctx, address)
		if err != nil {
			continue
		}
		extent, err := s.extent(ctx, st, address, &bounds) // what is in objects is in no directory
		if err != nil {
			continue
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size = i, extent.LocalBytes
		t.Partitions = append(t.Partitions, p)
	}
	return t
}
