package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/freshet/freshet/"

// file is one parsed source file of the module.
type file struct {
	dir, name string // slash-separated, from the module's root
	test      bool
	ast       *ast.File
	set       *token.FileSet
}

// sources parses every Go file of the module but those below testdata.
func sources(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != "." && name != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, file{dir: path.Dir(rel), name: rel, test: strings.HasSuffix(rel, "_test.go"), ast: parsed, set: set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found below %s", len(all), root)
	}
	return all
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue // tests assemble what they need
		}
		for _, spec := range f.ast.Imports {
			imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
			if ours {
				if reason := forbidden(f.dir, imported); reason != "" {
					t.Errorf("%s imports %s: %s", f.set.Position(spec.Pos()), imported, reason)
				}
			}
		}
	}
}

// TestImportsComeInGroups: the standard library's, others', our own, a blank line between.
func TestImportsComeInGroups(t *testing.T) {
	for _, f := range sources(t) {
		last, line := 0, 0
		for _, spec := range f.ast.Imports {
			group, at := 0, f.set.Position(spec.Pos())
			switch first, _, _ := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/"); {
			case strings.HasPrefix(spec.Path.Value, `"`+module):
				group = 2
			case strings.Contains(first, "."):
				group = 1
			}
			if group < last || group > last && at.Line == line+1 {
				t.Errorf("%s: %s is not in its group", at, spec.Path.Value)
			}
			last, line = group, at.Line
		}
	}
}

func TestForbiddenKnowsTheArrows(t *testing.T) {
	for _, row := range []struct {
		from, to string
		allowed  bool
	}{
		{"cmd/freshet", "internal/app", true},
		{"internal/app", "internal/engine", true},
		{"internal/app", "cmd/freshet", false},
		{"internal/engine", "internal/stream", true},
		{"internal/engine", "internal/engine/format", true},
		{"internal/engine", "internal/vfs", true},
		{"internal/engine", "internal/protocol/kafka", false},
		{"internal/engine", "internal/service/kinesis", false},
		{"internal/engine", "internal/flow", false},
		{"internal/backend/dir", "internal/object", true},
		{"internal/backend/dir", "internal/flow", false},
		{"internal/flow", "internal/stream", true},
		{"internal/flow", "internal/engine", false},
		{"internal/flow", "internal/service/kinesis", false},
		{"internal/flow", "internal/protocol/aws", false},
		{"internal/service/kinesis", "internal/protocol/aws/model/kinesis", true},
		{"internal/service/kinesis", "internal/protocol/kafka", false},
		{"internal/service/kinesis", "internal/engine", false},
		{"internal/service/firehose", "internal/service/kinesis", false},
		{"internal/service/firehose", "internal/flow", true},
		{"internal/protocol/kafka", "internal/protocol/kafka/group", true},
		{"internal/protocol/kafka", "internal/protocol/aws", false},
		{"internal/protocol/kafka", "internal/backend/dir", false},
		{"internal/protocol/aws", "internal/service/kinesis", false},
		{"internal/protocol/kafka", "internal/govern/principal", true},
		{"internal/govern/principal", "internal/protocol/kafka", false},
		{"internal/govern/principal", "internal/state", true},
		{"internal/stream", "internal/batch", true},
		{"internal/stream", "internal/engine", false},
		{"internal/clock", "internal/stream", false},
		{"internal/flow", "internal/app", false},
		{"internal/agent", "internal/app", false},
		{"internal/transfer", "internal/batch", true},
		{"internal/transfer", "internal/protocol/kafka", false},
		{"cmd/freshet", "cmd/freshet/demo", true},
		{"cmd/freshet/demo", "internal/app", true},
		{"internal/app", "cmd/freshet/demo", false},
	} {
		if reason := forbidden(row.from, row.to); (reason == "") != row.allowed {
			t.Errorf("%s -> %s: %q, allowed should be %v", row.from, row.to, reason, row.allowed)
		}
	}
}

func TestEveryRoomHasPackages(t *testing.T) {
	all := sources(t)
	prefixes := slices.Clone(contracts)
	for _, r := range rooms {
		prefixes = append(prefixes, r.prefix)
	}
	for _, prefix := range prefixes {
		if !slices.ContainsFunc(all, func(f file) bool { return within(f.dir, prefix) }) {
			t.Errorf("no package is in %s: the list of arrows says what is true of the tree", prefix)
		}
	}
}

// wallClock are the functions of package time that ask the operating system.
var wallClock = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true, "Tick": true, "NewTimer": true, "NewTicker": true,
}

// mayReadWallClock are the directories where real time is the point, beside commands, tools, tests and acceptance suites.
var mayReadWallClock = map[string]bool{
	"internal/clock": true, "internal/app": true,
}

func TestOnlyTheWiringReadsTheWallClock(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || !strings.HasPrefix(f.dir, "internal/") || mayReadWallClock[f.dir] || strings.HasSuffix(f.dir, "test") {
			continue
		}
		for _, use := range f.uses("time", wallClock) {
			t.Errorf("%s: take a clock.Clock instead", use)
		}
	}
}

// ownSource are the names of math/rand and math/rand/v2 that do not use the global source.
var ownSource = map[string]bool{
	"New": true, "NewSource": true, "NewPCG": true, "NewChaCha8": true, "NewZipf": true,
	"Rand": true, "Source": true, "Source64": true, "PCG": true, "ChaCha8": true, "Zipf": true,
}

func TestNobodyUsesGlobalRandomness(t *testing.T) {
	for _, f := range sources(t) {
		for _, p := range []string{"math/rand", "math/rand/v2"} {
			for _, use := range f.uses(p, nil) {
				_, name, _ := strings.Cut(use[strings.LastIndex(use, " ")+1:], ".")
				if drawsSeed := f.test && strings.HasPrefix(name, "Uint64"); !ownSource[name] && !drawsSeed { // a test may draw the seed it prints
					t.Errorf("%s: take a *rand.Rand with a seed instead", use)
				}
			}
		}
	}
}

// uses returns where the file uses the named members of an imported package, nil for all, as "position: package.Member".
func (f *file) uses(importPath string, names map[string]bool) []string {
	local := ""
	for _, spec := range f.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		local = strings.TrimSuffix(importPath, "/v2")
		local = local[strings.LastIndex(local, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
	}
	if local == "" {
		return nil
	}
	var found []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == local && (names == nil || names[s.Sel.Name]) {
			found = append(found, fmt.Sprintf("%s: %s.%s", f.set.Position(s.Pos()), local, s.Sel.Name))
		}
		return true
	})
	return found
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	documented, example := map[string]bool{}, map[string]string{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		example[f.dir] = f.name
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) > 40 {
			documented[f.dir] = true
		}
	}
	for dir, name := range example {
		if !documented[dir] {
			t.Errorf("%s: no file of the package, %s for one, has a package comment", dir, name)
		}
	}
}
