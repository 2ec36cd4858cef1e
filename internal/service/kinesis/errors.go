package kinesis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// The texts are those of AWS where they are known: clients, and people's scripts, compare them.

func streamNotFound(call *aws.Call, name stream.Name) error {
	return aws.Errorf(api.ErrResourceNotFound, "Stream %s under account %s not found.", name, call.Account)
}

func streamExists(call *aws.Call, name stream.Name) error {
	return aws.Errorf(api.ErrResourceInUse, "Stream %s under account %s already exists.", name, call.Account)
}

func shardUnparsable(call *aws.Call, id string, name stream.Name) error {
	return aws.Errorf(api.ErrResourceNotFound, "Could not find shard %s in stream %s under account %s.", id, name, call.Account)
}

func shardNotFound(call *aws.Call, id string, name stream.Name) error {
	return aws.Errorf(api.ErrResourceNotFound, "Shard %s in stream %s under account %s does not exist", id, name, call.Account)
}

func invalidArgument(format string, args ...any) error {
	return aws.Errorf(api.ErrInvalidArgument, format, args...)
}

// tooLarge is what AWS's own check of constraints would say of a blob of size bytes at path.
func tooLarge(size int, path string, limit int) error {
	return aws.Errorf(api.ErrValidation, "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]' at '%s' failed to satisfy constraint: "+
		"Member must have length less than or equal to %d", size, size, path, limit)
}

// maxFaults is how many faults one message lists, here as in package constraint.
const maxFaults = 10

// absent is what AWS's own check of constraints would say of required members that are not there.
func absent(paths []string) error {
	faults := make([]string, 0, maxFaults)
	for _, path := range paths[:min(len(paths), maxFaults)] {
		faults = append(faults, "Value null at '"+path+"' failed to satisfy constraint: Member must not be null")
	}
	plural := "s"
	if len(faults) == 1 {
		plural = ""
	}
	return aws.Errorf(api.ErrValidation, "%d validation error%s detected: %s", len(faults), plural, strings.Join(faults, "; "))
}

// dryRun answers a request with DryRun that would have succeeded.
func dryRun() error {
	return aws.Errorf(api.ErrDryRunOperation, "Request would have succeeded, but DryRun flag is set.")
}

// unavailable answers a request that may succeed elsewhere or later.
func unavailable() error {
	return &aws.Error{Code: "ServiceUnavailable", Message: "The service is shutting down or its storage is out of reach.", Status: http.StatusServiceUnavailable}
}

func isAnswer(err error) bool {
	_, ok := errors.AsType[*aws.Error](err)
	return ok
}

// failure turns an error of the log or of State on stream name into what the client sees. An AWS error stays; what it does not know becomes an internal failure
// at the front door, which logs it.
func failure(call *aws.Call, name stream.Name, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), isAnswer(err):
		return err
	case errors.Is(err, stream.ErrNotFound):
		return streamNotFound(call, name)
	case errors.Is(err, stream.ErrExists):
		return streamExists(call, name)
	case errors.Is(err, stream.ErrTooMany):
		return aws.Errorf(api.ErrLimitExceeded, "This request would exceed the limit of this node: %s.", err)
	case errors.Is(err, stream.ErrTooLarge):
		return invalidArgument("Records are larger than stream %s accepts: %s.", name, err)
	case errors.Is(err, stream.ErrTimestamp), errors.Is(err, stream.ErrInvalid):
		return invalidArgument("Stream %s under account %s refuses the request: %s.", name, call.Account, err)
	case errors.Is(err, stream.ErrFull):
		return aws.Errorf(api.ErrInternalFailure, "The disk is full: nothing was written. Records can still be read, and writing resumes when there is space.")
	case errors.Is(err, stream.ErrClosed), errors.Is(err, stream.ErrUnavailable), errors.Is(err, state.ErrClosed):
		return unavailable()
	}
	return fmt.Errorf("stream %s: %w", name, err)
}
