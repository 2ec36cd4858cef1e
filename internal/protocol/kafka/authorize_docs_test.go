package kafka_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentationListsRights compares the table in docs/authorization.md with accesses.
func TestDocumentationListsRights(t *testing.T) {
	page, err := os.ReadFile("../../../docs/authorization.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "| request | needs |\n|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var want strings.Builder
	told := map[string]bool{}
	for i := range accesses {
		a := &accesses[i]
		var needs []string
		for _, r := range a.needs {
			needs = append(needs, fmt.Sprintf("%s on %s (%d)", r.op, r.kind, r.code))
		}
		row := fmt.Sprintf("| %s | %s |\n", a.key.Name(), strings.Join(needs, ", "))
		if !told[row] {
			told[row] = true
			want.WriteString(row)
		}
	}
	if table+"\n" != want.String() {
		t.Errorf("docs/authorization.md should list:\n%s", want.String())
	}
}
