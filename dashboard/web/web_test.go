package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func page(t *testing.T, path string) string {
	t.Helper()
	for _, f := range Files() {
		if f.Path == path {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Fatalf("%s: status %d, %d bytes", path, w.Code, w.Body.Len())
			}
			return w.Body.String()
		}
	}
	t.Fatalf("%s is not served", path)
	return ""
}

func TestThePageKeepsItsOwnPolicy(t *testing.T) {
	t.Parallel()
	html, script := page(t, "/"), page(t, "/app.js")
	for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"} {
		// The SVG namespace is a name, not an address.
		if strings.Contains(strings.ReplaceAll(script, "http://www.w3.org/2000/svg", ""), bad) {
			t.Errorf("app.js has %s", bad)
		}
	}
	for _, bad := range []string{` style="`, " onclick", "<style", "javascript:"} {
		if strings.Contains(html, bad) {
			t.Errorf("index.html has %s", bad)
		}
	}
}

func TestThePageIsMarkedUpForEveryone(t *testing.T) {
	t.Parallel()
	html := page(t, "/")
	for _, want := range []string{`<html lang="en">`, "<main", `aria-live="polite"`, `href="#main"`, "<noscript>"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(html, "<h1"); n != 1 {
		t.Errorf("%d h1, want 1", n)
	}
	if tables, captions := strings.Count(html, "<table"), strings.Count(html, "<caption"); tables != captions {
		t.Errorf("%d tables, %d captions", tables, captions)
	}
	if n := len(regexp.MustCompile(`<th(?:\s|>)`).FindAllString(html, -1)); n != strings.Count(html, "scope=") {
		t.Errorf("%d th, %d scopes", n, strings.Count(html, "scope="))
	}
}

func TestTheScriptFindsItsElements(t *testing.T) {
	t.Parallel()
	html := page(t, "/")
	for _, m := range regexp.MustCompile(`byId\('([^']+)'\)`).FindAllStringSubmatch(page(t, "/app.js"), -1) {
		if !strings.Contains(html, `id="`+m[1]+`"`) {
			t.Errorf("index.html has no id %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(html, -1) {
		page(t, m[1])
	}
}
