package principal

import "testing"

func TestParseReadsWhatStringWrites(t *testing.T) {
	for _, p := range []Principal{Anonymous, Of("alice"), Of("CN=a,O=b:c"), Of("arn:aws:iam::000000000000:root"), {"Group", "ops"}} {
		if got, err := Parse(p.String()); got != p || err != nil {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
	if s := Anonymous.String(); s != "User:ANONYMOUS" {
		t.Error(s)
	}
}

func TestParseRefusesWhatHasNoTypeOrName(t *testing.T) {
	for _, text := range []string{"", "alice", ":alice", "User:"} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}
