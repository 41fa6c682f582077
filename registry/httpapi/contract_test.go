package httpapi_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"

	"burrow/api/openapi"
	"burrow/registry/httpapi"
)

// Ensure that the contract is valid and that it and the router have the same
// operations.
func TestRoutesAreTheContract(t *testing.T) {
	t.Parallel()
	doc := contract(t)
	var want []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	var got []string
	err := httpapi.New(nil).Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods() // a route for every method is an error
		for _, m := range methods {
			got = append(got, m+" "+path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("walk: %v", err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !gocmp.Equal(got, want) {
		t.Errorf("routes differ from registry.yaml (-contract +router):\n%s", gocmp.Diff(want, got))
	}
}

// Ensure that what changes the directory says in the contract that it needs a
// session, but for signing up and logging in.
func TestContractNamesTheSession(t *testing.T) {
	t.Parallel()
	open := []string{"signUp", "logIn"}
	for path, item := range contract(t).Paths.Map() {
		for method, op := range item.Operations() {
			secured := op.Security != nil && len(*op.Security) > 0
			if want := method != "GET" && !slices.Contains(open, op.OperationID); secured != want {
				t.Errorf("%s %s: security in the contract is %t, want %t", method, path, secured, want)
			}
		}
	}
}

func contract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Registry)
	if err != nil {
		t.Fatalf("registry.yaml: %v", err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("registry.yaml: %v", err)
	}
	return doc
}

// Ensure that requests and answers are what the schemas say.
func TestBodiesFitTheContract(t *testing.T) {
	t.Parallel()
	doc, s := contract(t), serve(t)
	token := s.login()
	for _, c := range []struct{ method, path, template, body string }{
		{"POST", "/v1/accounts", "", strings.Replace(ada, "ada", "bob", 1)},
		{"POST", "/v1/accounts", "", ada}, // taken: a problem
		{"POST", "/v1/sessions", "", ada},
		{"POST", "/v1/peers", "", peer},
		{"PUT", "/v1/peers/" + id, "/v1/peers/{id}", peer},
		{"GET", "/v1/peers", "", ""},
		{"GET", "/v1/stats?limit=2", "/v1/stats", ""},
		{"GET", "/healthz", "", ""},
		{"GET", "/readyz", "", ""},
	} {
		op := doc.Paths.Value(cmp.Or(c.template, c.path)).GetOperation(c.method)
		if c.body != "" {
			fits(t, op.RequestBody.Value.Content, "application/json", c.body)
		}
		got := s.do(c.method, c.path, token, c.body)
		fits(t, op.Responses.Status(got.StatusCode).Value.Content, got.Header.Get("Content-Type"), got.body)
	}
}

func fits(t *testing.T, content openapi3.Content, media, body string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if content.Get(media) == nil {
		t.Fatalf("the contract has no %s for %s", media, body)
	}
	if err := content.Get(media).Schema.Value.VisitJSON(v); err != nil {
		t.Errorf("%s: %v", body, err)
	}
}
