package main

import (
	"path/filepath"
	"testing"
)

func TestLedgersAreComplete(t *testing.T) {
	for _, s := range services() {
		for _, wrong := range s.Ledger.Check(s) {
			t.Errorf("%s: %s", s.Model.Info.ID, wrong)
		}
	}
}

func TestThePageIsCurrent(t *testing.T) {
	if err := run(filepath.FromSlash("../../docs/fidelity.md"), true); err != nil {
		t.Error(err)
	}
}
