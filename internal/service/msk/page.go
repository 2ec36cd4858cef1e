package msk

import (
	"encoding/base64"
	"slices"
	"strings"
)

// maxPage is the page size of lists that are asked for no other, and the most that the API lets one ask for.
const maxPage = 100

// tokenMark begins what is in a token, so that other text is told from one.
const tokenMark = "after "

// page returns the part of items, which are ordered by key, that a list call asks for, and the token for what follows, nil at the end. A token is
// the key of the last item before it, so that items may come and go between two calls.
func page[T any](items []T, key func(*T) string, maxResults *int32, token *string) ([]T, *string, error) {
	from := 0
	if token != nil {
		text, err := base64.RawURLEncoding.DecodeString(*token)
		after, marked := strings.CutPrefix(string(text), tokenMark)
		if err != nil || !marked {
			return nil, nil, badRequest("nextToken", "The parameter value contains one or more characters that are not valid.")
		}
		from, _ = slices.BinarySearchFunc(items, after+"\x00", func(item T, k string) int { return strings.Compare(key(&item), k) })
	}
	to := min(len(items), from+int(value(maxResults, maxPage)))
	if to == len(items) {
		return items[from:to], nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(tokenMark + key(&items[to-1])))
	return items[from:to], &next, nil
}
