package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Leave names a member that leaves: by its id, or a static one by its instance id alone.
type Leave struct {
	Member   string
	Instance string
	Reason   string // the client's own words (KIP-800), or ""
}

// Leave removes members and returns one error, or nil, for each.
func (m *Machine) Leave(now time.Time, leaving []Leave) []error {
	m.moved = true
	errs := make([]error, len(leaving))
	for i, l := range leaving {
		if err := m.leave(now, l); err != nil {
			errs[i] = err
		}
	}
	return errs
}

func (m *Machine) leave(now time.Time, l Leave) *kerr.Error {
	if m.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if _, ok := m.pending[l.Member]; ok && l.Instance == "" {
		delete(m.pending, l.Member)
		return nil
	}
	id := l.Member
	if id == "" && l.Instance != "" {
		id = m.static[l.Instance]
	}
	mem, err := m.find(id, l.Instance)
	if err != nil {
		return err
	}
	m.remove(now, mem, why("it left", l.Reason))
	return nil
}
