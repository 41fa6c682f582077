package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const (
	module   = "burrow"
	maxLines = 600 // of a file written by hand
)

// imports says which packages of this module a package may import, by folder;
// "x/..." is x and all below it. A package without a row fails.
func imports() map[string][]string {
	command := func(own string, more ...string) []string {
		return append([]string{own + "/...", "api/...", "internal/daemon", "internal/httpserve"}, more...)
	}
	return map[string][]string{
		"api":                     {},
		"api/client":              {"api"},
		"api/executor":            {"api", "api/executor/executorpb"},
		"api/executor/executorpb": {},
		"api/openapi":             {},

		"internal/daemon":      {},
		"internal/kv":          {},
		"internal/kv/badgerkv": {"internal/kv"},
		"internal/kv/kvtest":   {"internal/kv"},
		"internal/metrics":     {},
		"internal/httpserve":   {"api"},
		"internal/arch":        {},
		"internal/e2e":         {"..."},

		"registry":           command("registry", "internal/kv/..."),
		"registry/directory": {"api", "internal/kv"},
		"registry/httpapi":   {"api", "api/openapi", "registry/directory", "internal/httpserve", "internal/metrics"},

		"peerd":            command("peerd", "internal/kv/..."),
		"peerd/queue":      {"api", "internal/kv"},
		"peerd/worker":     {"api", "api/executor", "peerd/queue"},
		"peerd/pluginhost": {"api", "api/executor"},
		"peerd/roster":     {"api", "api/client"},
		"peerd/httpapi":    {"api", "api/openapi", "internal/httpserve", "internal/metrics", "peerd/queue", "peerd/roster"},

		"executor-plugin":         command("executor-plugin"),
		"executor-plugin/sandbox": {}, // knows no Python and no jobs
		"executor-plugin/interp":  {"api", "api/executor", "executor-plugin/sandbox"},
		"executor-plugin/service": {"api", "api/executor", "executor-plugin/interp", "executor-plugin/sandbox"},

		"dashboard":         command("dashboard"),
		"dashboard/httpapi": {"api", "api/client", "internal/httpserve", "internal/metrics", "dashboard/web"},
		"dashboard/web":     {},
	}
}

// rooms says where a third-party module may be imported, by the longest prefix
// of the import path. One room each: replacing a module then touches one
// package. A module without a row fails.
func rooms() map[string]room {
	commands := []string{"registry", "peerd", "executor-plugin", "dashboard"}
	plugin := room{in: []string{"api/executor/...", "peerd/pluginhost"}}
	routers := []string{"registry/httpapi", "peerd/httpapi", "dashboard/httpapi"}
	return map[string]room{
		"github.com/dgraph-io/badger":     {in: []string{"internal/kv/badgerkv"}},
		"github.com/getkin/kin-openapi":   {in: routers, tests: true},
		"github.com/go-python/gpython":    {in: []string{"executor-plugin/interp"}},
		"github.com/google/go-cmp":        {in: []string{"internal/kv/kvtest"}, tests: true},
		"github.com/gorilla/mux":          {in: routers},
		"github.com/hashicorp/go-hclog":   plugin,
		"github.com/hashicorp/go-plugin":  plugin,
		"github.com/prometheus":           {in: []string{"internal/metrics"}},
		"github.com/rogpeppe/go-internal": {tests: true},
		"github.com/rs/zerolog":           {in: []string{"..."}},
		"github.com/rs/zerolog/log":       {}, // a global logger
		"github.com/spf13":                {in: append(commands, "internal/daemon")},
		"golang.org/x/crypto":             {in: []string{"registry/directory"}},
		"golang.org/x/sync":               {in: []string{"..."}}, // as good as the standard library
		"golang.org/x/sys":                {in: []string{"executor-plugin/...", "internal/kv/badgerkv"}, tests: true},
		"golang.org/x/term":               {in: append(commands, "internal/daemon")},
		"google.golang.org/grpc":          plugin,
		"google.golang.org/protobuf":      plugin,
	}
}

type room struct {
	in    []string // folders, as in imports
	tests bool     // and every _test.go file
}

// topLevel lists what a newcomer may meet at the root of the repository.
func topLevel() []string {
	return []string{
		"registry", "peerd", "executor-plugin", "dashboard", "api", "internal", "docs", "examples",
		"go.mod", "go.sum", "Makefile", "SECURITY.md", "README.md", "LICENSE",
		".golangci.yml", ".gitignore", ".gitattributes", ".ci", ".git", "bin",
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	// The files are read by this process, not by go list: only so does the
	// test cache see that one changed.
	found, err := check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range found {
		t.Error(problem)
	}
}

// check reads every Go file below root and returns what breaks a rule, sorted.
func check(root fs.FS) ([]string, error) {
	var found []string
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !slices.Contains(topLevel(), e.Name()) {
			found = append(found, e.Name()+": not in the list of top-level entries")
		}
	}
	documented := map[string]bool{}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		problems, hasDoc, err := checkFile(name, text)
		documented[path.Dir(name)] = documented[path.Dir(name)] || hasDoc
		found = append(found, problems...)
		return err
	})
	for dir, ok := range documented {
		if !ok {
			found = append(found, dir+": no package comment")
		}
		if _, ok := imports()[dir]; !ok {
			found = append(found, dir+": no import rule; add one to internal/arch")
		}
	}
	slices.Sort(found)
	return found, err
}

func checkFile(name string, text []byte) (found []string, hasDoc bool, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, false, err
	}
	test := strings.HasSuffix(name, "_test.go")
	if lines := bytes.Count(text, []byte("\n")); lines > maxLines && !test && !ast.IsGenerated(file) {
		found = append(found, fmt.Sprintf("%s: %d lines; at most %d, one idea a file", name, lines, maxLines))
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, false, err
		}
		if !allowed(path.Dir(name), imported, test) {
			found = append(found, fmt.Sprintf("%s: may not import %s", name, imported))
		}
	}
	return found, file.Doc.Text() != "", nil
}

func allowed(dir, imported string, test bool) bool {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return test || matches(imports()[dir], own)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	for prefix := imported; prefix != "."; prefix = path.Dir(prefix) {
		if r, ok := rooms()[prefix]; ok {
			return matches(r.in, dir) || (test && r.tests)
		}
	}
	return false
}

func matches(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, ok := strings.CutSuffix(p, "...")
		return p == dir || (ok && strings.HasPrefix(dir+"/", below))
	})
}

func TestCheckFindsWhatBreaksARule(t *testing.T) {
	t.Parallel()
	src := func(doc string, imports ...string) *fstest.MapFile {
		text := doc + "package p\n"
		for _, i := range imports {
			text += "import _ \"" + i + "\"\n"
		}
		return &fstest.MapFile{Data: []byte(text)}
	}
	const doc = "// Package p is a fixture.\n"
	const long = "// Package p is a fixture.\npackage p\n"
	got, err := check(fstest.MapFS{
		"go.mod":                       {},
		"pkg/x.txt":                    {},
		".git/hooks/x.go":              {Data: []byte("not Go")},
		"api/api.go":                   src(doc, "fmt", "burrow/internal/kv"),
		"api/api_test.go":              src("", "burrow/internal/kv", "github.com/google/go-cmp/cmp"),
		"api/testdata/x.go":            {Data: []byte("not Go")},
		"api/client/client.go":         src(doc, "burrow/api", "burrow/apix", "example.org/new"),
		"internal/kv/kv.go":            src(doc, "github.com/rs/zerolog", "github.com/rs/zerolog/log"),
		"internal/kv/etcdkv/etcd.go":   src(doc),
		"internal/daemon/d.go":         src("", "github.com/spf13/pflag"),
		"internal/httpserve/h.go":      src(doc, "github.com/google/go-cmp/cmp", "github.com/getkin/kin-openapi/openapi3"),
		"internal/metrics/m.go":        src(doc, "github.com/prometheus/client_golang/prometheus"),
		"peerd/main.go":                src(doc, "burrow/peerd/queue", "burrow/api/executor", "burrow/registry/directory"),
		"peerd/queue/long.go":          {Data: []byte(long + strings.Repeat("\n", 599))},
		"peerd/queue/long_test.go":     {Data: []byte(long + strings.Repeat("\n", 999))},
		"peerd/queue/generated.go":     {Data: []byte("// Code generated by x. DO NOT EDIT.\n\n" + long + strings.Repeat("\n", 999))},
		"api/executor/executorpb/g.go": src(doc, "google.golang.org/protobuf/proto"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"api/api.go: may not import burrow/internal/kv",
		"api/client/client.go: may not import burrow/apix",
		"api/client/client.go: may not import example.org/new",
		"internal/daemon: no package comment",
		"internal/httpserve/h.go: may not import github.com/getkin/kin-openapi/openapi3",
		"internal/httpserve/h.go: may not import github.com/google/go-cmp/cmp",
		"internal/kv/etcdkv: no import rule; add one to internal/arch",
		"internal/kv/kv.go: may not import github.com/rs/zerolog/log",
		"peerd/main.go: may not import burrow/registry/directory",
		"peerd/queue/long.go: 601 lines; at most 600, one idea a file",
		"pkg: not in the list of top-level entries",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
