package httpserve

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"burrow/api"
)

func post(body, contentType string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestDecodeReadsASpec(t *testing.T) {
	t.Parallel()
	var got api.JobSpec
	r := post(`{"source":"print(1)","args":["a"],"env":{"A":"b"},"limits":{"memory":"64MiB","wall":1.5},"retries":null}`, "application/json; charset=UTF-8")
	if err := Decode(httptest.NewRecorder(), r, 1<<20, &got); err != nil {
		t.Fatal(err)
	}
	want := api.JobSpec{
		Source: "print(1)", Args: []string{"a"}, Env: map[string]string{"A": "b"},
		Limits: api.Limits{Memory: 64 * api.MiB, Wall: api.Duration(1500 * time.Millisecond)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestDecodeNamesTheWrongField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]api.FieldError{
		``:                                      {Field: "body", Detail: "is empty"},
		` `:                                     {Field: "body", Detail: "is empty"},
		`null`:                                  {Field: "body", Detail: "is null; send a JSON object"},
		`[]`:                                    {Field: "body", Detail: "is a list"},
		`"x"`:                                   {Field: "body", Detail: "is a string"},
		`{"source":`:                            {Field: "body", Detail: "unexpected end of JSON input at offset 10"},
		`{"source":"x"} {}`:                     {Field: "body", Detail: "at offset 16"},
		"{\"source\":\"\xff\"}":                 {Field: "body", Detail: "is not UTF-8 (first bad byte at offset 11)"},
		`{"source":1}`:                          {Field: "source", Detail: "is a number; want a string"},
		`{"Source":"x"}`:                        {Field: "Source", Detail: "is not a known field"},
		`{"source":"a","source":"b"}`:           {Field: "source", Detail: "is given twice"},
		`{"limits":{"memroy":1}}`:               {Field: "limits.memroy", Detail: "is not a known field"},
		`{"limits":{"memory":"64XB"}}`:          {Field: "limits.memory", Detail: `"64XB" is not a size`},
		`{"limits":{"memory":-1}}`:              {Field: "limits.memory", Detail: "is negative"},
		`{"limits":{"wall":true}}`:              {Field: "limits.wall", Detail: "want a duration"},
		`{"limits":{"wall":null}}`:              {Field: "limits.wall", Detail: "want a duration"},
		`{"limits":{"processes":1.5}}`:          {Field: "limits.processes", Detail: "want a whole number"},
		`{"limits":[]}`:                         {Field: "limits", Detail: "is a array; want an object"},
		`{"args":["a",2]}`:                      {Field: "args[1]", Detail: "is a number; want a string"},
		`{"args":{}}`:                           {Field: "args", Detail: "want a list"},
		`{"env":{"A":1}}`:                       {Field: "env.A", Detail: "want a string"},
		`{"env":{"A":"1","A":"2"}}`:             {Field: "env.A", Detail: "is given twice"},
		`{"retries":"2"}`:                       {Field: "retries", Detail: "want a whole number"},
		`{"\u001b[31m":1}`:                      {Field: `"\x1b[31m"`, Detail: "is not a known field"},
		`{"` + strings.Repeat("k", 99) + `":1}`: {Field: strings.Repeat("k", 64) + "…", Detail: "is not a known field"},
	} {
		var spec api.JobSpec
		err := Decode(httptest.NewRecorder(), post(body, "application/json"), 1<<20, &spec)
		got, ok := errors.AsType[*api.FieldError](err)
		if !ok {
			t.Errorf("%s: got %v, want a FieldError", body, err)
			continue
		}
		if got.Field != want.Field || !strings.Contains(got.Detail, want.Detail) {
			t.Errorf("%s:\n got %q: %q\nwant %q: %q", body, got.Field, got.Detail, want.Field, want.Detail)
		}
		if !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%s: %v is not ErrInvalid", body, err)
		}
	}
}

func TestDecodeBoundsTheBody(t *testing.T) {
	t.Parallel()
	const body = `{"source":"x"}`
	var spec api.JobSpec
	if err := Decode(httptest.NewRecorder(), post(body, "application/json"), int64(len(body)), &spec); err != nil {
		t.Errorf("body of exactly the limit: %v", err)
	}
	err := Decode(httptest.NewRecorder(), post(body, "application/json"), int64(len(body))-1, &spec)
	if !errors.Is(err, api.ErrTooLarge) || !strings.Contains(err.Error(), "13") {
		t.Errorf("got %v, want ErrTooLarge with the limit 13", err)
	}
}

func TestDecodeChecksTheMediaType(t *testing.T) {
	t.Parallel()
	for media, ok := range map[string]bool{
		"application/json": true, "application/JSON": true, "application/merge-patch+json": true,
		"": false, "text/plain": false, "application/x-www-form-urlencoded": false, "text/json;": false,
		"application/json; charset=latin1": false, "application/jsonx": false, "x": false,
	} {
		var spec api.JobSpec
		err := Decode(httptest.NewRecorder(), post(`{"source":"x"}`, media), 99, &spec)
		if (err == nil) != ok || (!ok && !errors.Is(err, api.ErrUnsupportedMedia)) {
			t.Errorf("%q: got %v, accepted should be %v", media, err, ok)
		}
	}
	r := post(`{}`, "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	if err := Decode(httptest.NewRecorder(), r, 99, &api.JobSpec{}); !errors.Is(err, api.ErrUnsupportedMedia) {
		t.Errorf("gzip: got %v", err)
	}
}

// FuzzDecode: every body is either refused with a named field, or means the
// same to a strict reader after a round trip.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"source":"print(1)","limits":{"memory":"64MiB","wall":1.5}}`, `{"args":["a",null],"env":{"A":null}}`,
		`{"limits":{"memory":"1e3"}}`, `{"retries":-1}`, `{"a":{"b":[1]}}`, "{\"source\":\"\xff\"}", `[`, `{"limits":null}{}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var spec api.JobSpec
		err := decode([]byte(body), &spec)
		if err != nil {
			if field, ok := errors.AsType[*api.FieldError](err); !ok || field.Field == "" {
				t.Fatalf("error without a field: %v", err)
			}
			return
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatalf("marshal %+v: %v", spec, err)
		}
		var again api.JobSpec
		if err := decode(text, &again); err != nil {
			t.Fatalf("decode %s again: %v", text, err)
		}
		second, err := json.Marshal(again)
		if err != nil || string(second) != string(text) {
			t.Fatalf("round trip: %s, then %s (%v)", text, second, err)
		}
	})
}
