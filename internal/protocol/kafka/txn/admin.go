package txn

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Listing is one transactional id in a list.
type Listing struct {
	ID string
	Txn
}

// List returns all transactional ids, ordered. What is in the Txns must not be written to.
func (c *Coordinator) List() []Listing {
	c.mu.Lock()
	all := make([]*entry, 0, len(c.entries))
	for _, e := range c.entries {
		all = append(all, e)
	}
	c.mu.Unlock()
	list := make([]Listing, 0, len(all))
	for _, e := range all {
		e.mu.RLock()
		if !e.gone && e.txn.ProducerID != none {
			list = append(list, Listing{e.id, e.txn})
		}
		e.mu.RUnlock()
	}
	slices.SortFunc(list, func(a, b Listing) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Describe returns one transactional id. INVALID_REQUEST for what cannot be one, TRANSACTIONAL_ID_NOT_FOUND.
func (c *Coordinator) Describe(id string) (Txn, error) {
	if err := checkID(id); err != nil {
		return Txn{}, err
	}
	e, _ := c.lock(id, true, false)
	if e == nil {
		return Txn{}, kerr.TransactionalIDNotFound
	}
	defer e.mu.RUnlock()
	if e.txn.ProducerID == none {
		return Txn{}, kerr.TransactionalIDNotFound
	}
	return e.txn, nil
}
