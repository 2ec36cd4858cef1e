package firehose

import (
	"errors"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/stream"
)

func invalidArgument(format string, args ...any) *aws.Error {
	return aws.Errorf(api.ErrInvalidArgument, format, args...)
}

func notFound(call *aws.Call, name string) *aws.Error {
	return aws.Errorf(api.ErrResourceNotFound, "Firehose %s under account %s not found.", name, call.Account)
}

// unavailable turns an error of the log into what a client sees: what it may repeat later is ServiceUnavailableException, a node that has no room
// for another stream LimitExceededException, anything else an internal failure.
func unavailable(err error) error {
	switch {
	case errors.Is(err, stream.ErrTooMany):
		return aws.Errorf(api.ErrLimitExceeded, "The delivery stream's own stream would exceed the limit of this node: %s.", err)
	case errors.Is(err, stream.ErrFull):
		return aws.Errorf(api.ErrServiceUnavailable, "The disk is full: nothing was written. Delivery goes on, and writing resumes when there is space.")
	case errors.Is(err, stream.ErrUnavailable), errors.Is(err, stream.ErrClosed), errors.Is(err, stream.ErrNotFound):
		return aws.Errorf(api.ErrServiceUnavailable, "Slow down.")
	}
	return err
}
