package kafka

import (
	"maps"
	"slices"
)

// API is a request that is served.
type API struct {
	Key      int16
	Name     string // as in the protocol's documentation
	Min, Max int16  // versions advertised
}

// APIs returns the requests that are served, ordered by key.
func APIs() []API {
	rows := table()
	all := make([]API, 0, len(rows))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		a := rows[key]
		all = append(all, API{Key: key, Name: a.key.Name(), Min: a.min, Max: a.max})
	}
	return all
}
