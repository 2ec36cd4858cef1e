package kafka

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/txn"
)

// listTransactions lists transactional ids. v1: of transactions that began longer ago than a duration. v2: whose whole name a regular expression
// (RE2) matches (KIP-1152).
func (s *Server) listTransactions(_ context.Context, _ *Client, req *kmsg.ListTransactionsRequest) *kmsg.ListTransactionsResponse {
	resp := kmsg.NewPtrListTransactionsResponse()
	var pattern *regexp.Regexp
	if text := value(req.TransactionalIDPattern); text != "" {
		var err error
		if pattern, err = regexp.Compile(`^(?:` + text + `)$`); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			return resp
		}
	}
	states := map[string]bool{}
	for _, name := range req.StateFilters {
		if txn.Known(name) {
			states[name] = true
		} else {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	now := s.clock.Now().UnixMilli()
	for _, l := range s.txns.List() {
		switch {
		case len(req.StateFilters) > 0 && !states[string(l.State)]:
		case len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, l.ProducerID):
		case req.DurationFilterMillis >= 0 && now-startedMillis(&l.Txn) <= req.DurationFilterMillis:
		case pattern != nil && !pattern.MatchString(l.ID):
		default:
			x := kmsg.NewListTransactionsResponseTransactionState()
			x.TransactionalID, x.ProducerID, x.TransactionState = l.ID, l.ProducerID, string(l.State)
			resp.TransactionStates = append(resp.TransactionStates, x)
		}
	}
	return resp
}
