package jwt

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/watchfile"
)

// The bounds of a JWKS: issuers have a few keys, of a kilobyte or two with their certificates.
const (
	maxKeys     = 100
	maxKeysSize = 1 << 20
	minRSABits  = 2048
)

// set are the keys of an issuer that can be used.
type set []jose.JSONWebKey

// parseSet reads a JWKS. Keys for other uses, secret ones and those that are too weak are left out.
func parseSet(text []byte) (set, error) {
	if len(text) > maxKeysSize {
		return nil, fmt.Errorf("more than %d bytes of keys", maxKeysSize)
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var usable set
	for _, one := range raw.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue // of a kind that is not known, maybe: others are
		}
		if public, isRSA := key.Key.(*rsa.PublicKey); isRSA && public.N.BitLen() < minRSABits {
			continue
		}
		usable = append(usable, key)
	}
	if len(usable) == 0 {
		return nil, errors.New("no public key for signatures is among the keys")
	}
	return usable, nil
}

// find returns the keys of an id, all if it is "".
func (s set) find(id string) []jose.JSONWebKey {
	if id == "" {
		return s
	}
	var found []jose.JSONWebKey
	for _, key := range s {
		if key.KeyID == id || key.KeyID == "" {
			found = append(found, key)
		}
	}
	return found
}

var errUnknownKey = invalid("its key is not known")

// fileKeys are those of a file.
type fileKeys struct{ file *watchfile.Value[set] }

// FileKeys returns the keys of a JWKS in a file, which is read again when it changes.
func FileKeys(path string, c clock.Clock, logger *slog.Logger, counts *watchfile.Counts) (Keys, error) {
	file, err := watchfile.Open([]string{path}, c, logger, counts, func(contents [][]byte) (set, error) { return parseSet(contents[0]) })
	if err != nil {
		return nil, err
	}
	return &fileKeys{file}, nil
}

// Find implements Keys.
func (f *fileKeys) Find(_ context.Context, id string) ([]jose.JSONWebKey, error) {
	keys := f.file.Current().find(id)
	if len(keys) == 0 {
		return nil, errUnknownKey
	}
	return keys, nil
}

// How keys at a URL are fetched: each time they are older than refreshEach, and when a token names a key that is not among them; at most once
// each fetchPause, so that tokens which name any key cost the issuer little.
const (
	refreshEach  = time.Hour
	fetchPause   = 10 * time.Second
	fetchTimeout = 10 * time.Second
)

// urlKeys are those at a URL.
type urlKeys struct {
	url    string
	client *http.Client
	clock  clock.Clock
	logger *slog.Logger

	known    atomic.Pointer[fetched]
	fetching sync.Mutex
	tried    time.Time // guarded by fetching
}

type fetched struct {
	keys set
	at   time.Time
}

// URLKeys returns the keys of a JWKS at a URL. They are fetched when the first token comes. transport may be nil.
func URLKeys(url string, transport http.RoundTripper, c clock.Clock, logger *slog.Logger) Keys {
	client := &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &urlKeys{url: url, client: client, clock: c, logger: logger}
}

// Find implements Keys. While one caller fetches, others use the keys there are, and wait only for those that there are not.
func (u *urlKeys) Find(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	known, keys := u.look(id)
	fresh := known != nil && u.clock.Now().Sub(known.at) < refreshEach
	if fresh && len(keys) > 0 {
		return keys, nil
	}
	if len(keys) == 0 {
		u.fetching.Lock()
	} else if !u.fetching.TryLock() {
		return keys, nil
	}
	defer u.fetching.Unlock()
	if latest, keys := u.look(id); latest != known && len(keys) > 0 { // somebody has fetched them meanwhile
		return keys, nil
	}
	if now := u.clock.Now(); u.tried.IsZero() || now.Sub(u.tried) >= fetchPause {
		u.tried = now
		if got, err := u.fetch(ctx); err != nil {
			u.logger.Warn("keys of tokens cannot be fetched", "url", u.url, "error", err)
		} else {
			u.known.Store(&fetched{got, now})
		}
	}
	known, keys = u.look(id)
	switch {
	case known == nil:
		return nil, errors.New("the issuer's keys could not be fetched yet")
	case len(keys) == 0:
		return nil, errUnknownKey
	}
	return keys, nil
}

func (u *urlKeys) look(id string) (*fetched, []jose.JSONWebKey) {
	known := u.known.Load()
	if known == nil {
		return nil, nil
	}
	return known, known.keys.find(id)
}

func (u *urlKeys) fetch(ctx context.Context) (set, error) {
	// One client's leaving must not fail the fetch for all.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, u.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := u.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeysSize+1))
	if err != nil {
		return nil, err
	}
	return parseSet(text)
}
