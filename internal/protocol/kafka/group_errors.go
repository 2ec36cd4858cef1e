package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
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
