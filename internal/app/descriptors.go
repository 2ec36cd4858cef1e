package app

import (
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// Of the files that the process may have open, connections get no more than the log, its checkpoints and delivered objects can do without: a quarter
// is kept from them, fewFiles at least as far as that is not more than half. One descriptor is a log file's, of up to 256 MiB.
const (
	filePart = 4
	fewFiles = 1024
)

// connectionBounds are how many connections each kind of address may have open.
type connectionBounds struct {
	kafka int
	aws   int // per listener
}

// boundConnections returns the usual bounds or, in the same proportion, lower ones that leave of so many descriptors what the files need.
// limit 0 means that there is no limit.
func boundConnections(limit, awsListeners int) (b connectionBounds, lowered bool) {
	b = connectionBounds{wire.DefaultMaxConnections, aws.DefaultMaxConnections}
	sum := b.kafka + awsListeners*b.aws
	left := limit - max(limit/filePart, min(fewFiles, limit/2))
	if limit == 0 || sum <= left {
		return b, false
	}
	return connectionBounds{max(1, b.kafka*left/sum), max(1, b.aws*left/sum)}, true
}

// limitConnections sets the node's bounds by what the system lets the process open.
func (n *Node) limitConnections() error {
	limit, err := descriptorLimit()
	if err != nil {
		return err
	}
	listeners := 1
	if n.listeners.awsTLS != nil {
		listeners++
	}
	var lowered bool
	if n.connections, lowered = boundConnections(limit, listeners); lowered {
		n.logger.Info("fewer connections than usual are taken: raise the limit of open files (ulimit -n)", "open_files", limit,
			"kafka_connections", n.connections.kafka, "aws_connections_per_address", n.connections.aws)
	}
	return nil
}
