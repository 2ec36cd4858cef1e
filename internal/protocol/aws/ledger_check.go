package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// Line is one row of a service's fidelity: a member that requests can carry, and what happens to it.
type Line struct {
	Owner    string // operation, or structure inside requests
	Member   string
	Fidelity Fidelity
}

// Check compares the service's ledger with its model: every input member of every served operation has an entry, every entry has a member, and
// whatever is not enforced has a reason. It returns what is wrong, sorted; a test of each service wants nothing.
func (l Ledger) Check(s Service) []string {
	var wrong []string
	lines, missing := l.lines(s)
	for _, key := range missing {
		wrong = append(wrong, key+" has no entry")
	}
	reached := map[string]bool{}
	for _, line := range lines {
		reached[line.Owner+"."+line.Member] = true
	}
	for key, fidelity := range l {
		if !reached[key] {
			wrong = append(wrong, key+" is no input member of a served operation")
		}
		if fidelity.Level != LevelEnforced && strings.TrimSpace(fidelity.Reason) == "" {
			wrong = append(wrong, key+" has no reason")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// Lines returns the ledger of a service in the order of its model: operations first, then the structures that requests hold.
func (s Service) Lines() []Line {
	lines, _ := s.Ledger.lines(s)
	return lines
}

func (l Ledger) lines(s Service) (lines []Line, missing []string) {
	var structures []*shape.Shape
	visit := func(owner string, of *shape.Shape) {
		for i := range of.Members {
			m := &of.Members[i]
			fidelity, ok := l[owner+"."+m.Name]
			if !ok {
				missing = append(missing, owner+"."+m.Name)
				continue
			}
			lines = append(lines, Line{owner, m.Name, fidelity})
			if inner := structureIn(m.Shape); inner != nil && fidelity.Level == LevelEnforced && !slices.Contains(structures, inner) {
				structures = append(structures, inner)
			}
		}
	}
	served := slices.Clone(s.Operations)
	slices.SortFunc(served, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) })
	for _, op := range served {
		if input := s.Model.Operation(op.Name).InputShape; input != nil {
			visit(op.Name, input)
		}
	}
	for i := 0; i < len(structures); i++ { // grows while it runs
		visit(structures[i].Name, structures[i])
	}
	return lines, missing
}

// String returns the word that docs/fidelity.md uses.
func (l Level) String() string {
	switch l {
	case LevelEnforced:
		return "enforced"
	case LevelStored:
		return "stored"
	case LevelRefused:
		return "refused"
	}
	return fmt.Sprintf("level %d", uint8(l))
}
