package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// ListMaps reads the documents of a kind whose ids begin with prefix, as PutMap writes them, by what follows prefix in the id.
func ListMaps(ctx context.Context, store Store, kind, prefix string) (map[string]map[string]string, error) {
	docs, err := store.List(ctx, kind, prefix)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]string, len(docs))
	for _, d := range docs {
		m := map[string]string{}
		if err := json.Unmarshal(d.Value, &m); err != nil {
			return nil, fmt.Errorf("decode %s %q: %w", kind, d.ID, err)
		}
		all[strings.TrimPrefix(d.ID, prefix)] = m
	}
	return all, nil
}

// PutMap makes m, as a JSON object, all of a document, whatever it was; an empty m deletes it. It is durable when PutMap returns.
func PutMap(ctx context.Context, store Store, key Key, m map[string]string) error {
	change := Change{Key: key, If: Any, Delete: len(m) == 0}
	if !change.Delete {
		var err error
		if change.Value, err = json.Marshal(m); err != nil {
			return fmt.Errorf("encode %s %q: %w", key.Kind, key.ID, err)
		}
	}
	_, err := store.Apply(ctx, change)
	return err
}
