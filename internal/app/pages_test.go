package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestPagesSayWhatIsWrong asks a node in each of its states. From outside, one that stops is asked in the moment only before its server takes nothing.
func TestPagesSayWhatIsWrong(t *testing.T) {
	n := &Node{metrics: newMetrics("test")}
	ask := func(path string, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		n.pages().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != status || w.Body.String() != body+"\n" {
			t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body, status, body)
		}
	}
	ask("/healthz", 200, "ok")
	ask("/readyz", 200, "ok")
	n.draining.Store(true)
	ask("/healthz", 200, "ok")
	ask("/readyz", 503, "stopping")
	var failure error = &StorageError{errors.New("the disk is gone")}
	n.failure.Store(&failure)
	ask("/healthz", 503, failure.Error())
	ask("/readyz", 503, failure.Error())
}
