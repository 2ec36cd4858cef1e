package kinesis

import "testing"

// Every member of every request that is served has its place in the ledger, and nothing else has.
func TestLedgerIsComplete(t *testing.T) {
	service := newRig(t).API()
	for _, wrong := range service.Ledger.Check(service) {
		t.Error(wrong)
	}
}
