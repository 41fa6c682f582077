// Package web holds the dashboard's page: plain HTML, CSS and JavaScript in the
// binary, so that it never goes missing, and the policy it must be served with.
package web

import (
	"embed"
	"net/http"
	"strconv"
)

//go:embed index.html app.css app.js
var files embed.FS

// Policy is the Content-Security-Policy of the page. It loads and reaches its
// own origin only, and Trusted Types 'none' makes every innerHTML a thrown
// error: names that other peers chose can only become text.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// File is one file of the page.
type File struct {
	Path string // where the page expects it, such as "/app.css"
	name string
	mime string
}

// Files lists every file that may be served: nothing is looked up by what a
// request says.
func Files() []File {
	return []File{
		{Path: "/", name: "index.html", mime: "text/html; charset=utf-8"},
		{Path: "/app.css", name: "app.css", mime: "text/css; charset=utf-8"},
		{Path: "/app.js", name: "app.js", mime: "text/javascript; charset=utf-8"},
	}
}

// ServeHTTP answers with the file, under [Policy].
func (f File) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body, err := files.ReadFile(f.name)
	if err != nil { // a name of Files that is not embedded; the test looks
		http.Error(w, "missing file", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", Policy)
	h.Set("Content-Type", f.mime)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a browser that left is no one to tell
}
