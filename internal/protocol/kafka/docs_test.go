package kafka_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// TestDocumentationListsWhatIsServed compares the table in docs/kafka.md with the one in the code.
func TestDocumentationListsWhatIsServed(t *testing.T) {
	page, err := os.ReadFile("../../../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "| key | request | versions |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var want strings.Builder
	for _, a := range kafka.APIs() {
		fmt.Fprintf(&want, "| %d | %s | %d to %d |\n", a.Key, a.Name, a.Min, a.Max)
	}
	if table+"\n" != want.String() {
		t.Errorf("docs/kafka.md should list:\n%s", want.String())
	}
}
