package msk

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentationListsTheProperties compares the table in docs/msk.md with the one in the code.
func TestDocumentationListsTheProperties(t *testing.T) {
	page, err := os.ReadFile("../../../docs/msk.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| property | effect |\n|---|---|\n")
	var want strings.Builder
	for _, p := range Properties() {
		effect := "stored"
		if p.Applied {
			effect = "applied"
		}
		fmt.Fprintf(&want, "| %s | %s |\n", p.Key, effect)
	}
	if table != want.String() {
		t.Errorf("docs/msk.md should list:\n%s", want.String())
	}
}
