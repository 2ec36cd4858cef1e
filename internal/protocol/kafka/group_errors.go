package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// groupCode returns the code of an error of the group coordinator. What is no client's fault, a full disk too, is logged, and the client
// asks again: all clients treat COORDINATOR_NOT_AVAILABLE so, and few know another such code for these requests.
func (s *Server) groupCode(err error) int16 {
	var known *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &known):
		return known.Code
	}
	s.logger.Error("group coordinator", "error", err)
	return kerr.CoordinatorNotAvailable.Code
}

// groupError is groupCode with what a client is told beside the code.
func (s *Server) groupError(err error) (int16, *string) {
	code := s.groupCode(err)
	var refused *refusal.Error
	if errors.As(err, &refused) {
		return code, &refused.Reason
	}
	return code, kmsg.StringPtr(kerr.TypedErrorForCode(code).Description)
}
