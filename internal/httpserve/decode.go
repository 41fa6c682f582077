package httpserve

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"burrow/api"
)

// Decode reads the request's body, one JSON object of at most limit bytes, into
// v, which points to a struct. It is strict: unknown and doubled fields, other
// spellings of a name, wrong types, trailing data and text that is not UTF-8
// are an [api.FieldError] with the path of the field, such as "limits.memory"
// or "args[2]" ("body" when it is not JSON at all). Another content type is
// [api.ErrUnsupportedMedia], a longer body [api.ErrTooLarge].
func Decode(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	if err := checkMedia(r); err != nil {
		return err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("body: more than %d bytes; at most %d are accepted: %w", limit, limit, api.ErrTooLarge)
	}
	if err != nil {
		return api.Invalid("body", "could not be read: %v", err)
	}
	return decode(data, v)
}

func checkMedia(r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return fmt.Errorf("content type %.80q; send application/json: %w", r.Header.Get("Content-Type"), api.ErrUnsupportedMedia)
	}
	if set, ok := params["charset"]; ok && !strings.EqualFold(set, "utf-8") {
		return fmt.Errorf("charset %.80q; send utf-8: %w", set, api.ErrUnsupportedMedia)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return fmt.Errorf("content encoding %.80q; send the body as it is: %w", enc, api.ErrUnsupportedMedia)
	}
	return nil
}

func decode(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return api.Invalid("body", "is empty; send a JSON object")
	}
	if !utf8.Valid(data) {
		// encoding/json would put U+FFFD in silently: another program would run.
		return api.Invalid("body", "is not UTF-8 (first bad byte at offset %d)", badByte(data))
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return api.Invalid("body", "is not JSON: %v at offset %d", syntax, syntax.Offset)
		}
		return api.Invalid("body", "is not JSON: %v", err)
	}
	if raw[0] != '{' {
		return api.Invalid("body", "is %s; send a JSON object", kindOf(raw))
	}
	// encoding/json names neither the place of an unknown field nor of an error
	// from an UnmarshalJSON; the walk does, before anything is stored.
	if err := check("", raw, reflect.TypeOf(v)); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return api.Invalid(wrong.Field, "is a %s; want %s", wrong.Value, wanted(wrong.Type))
		}
		return api.Invalid("body", "%v", err)
	}
	return nil
}

// check compares raw, which is valid JSON, with what t accepts.
func check(path string, raw []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		if string(raw) == "null" {
			return nil
		}
		t = t.Elem()
	}
	target := reflect.New(t)
	if u, ok := reflect.TypeAssert[json.Unmarshaler](target); ok {
		return fieldError(path, u.UnmarshalJSON(raw))
	}
	_, isText := reflect.TypeAssert[encoding.TextUnmarshaler](target)
	if string(raw) == "null" {
		return nil // as encoding/json has it: the same as leaving it out
	}
	switch {
	case isText:
	case t.Kind() == reflect.Struct && raw[0] == '{':
		return checkObject(path, raw, structFields(t))
	case t.Kind() == reflect.Map && raw[0] == '{':
		return checkObject(path, raw, func(string) reflect.Type { return t.Elem() })
	case t.Kind() == reflect.Slice && raw[0] == '[':
		return checkList(path, raw, t.Elem())
	}
	return fieldError(path, json.Unmarshal(raw, target.Interface()))
}

func checkObject(path string, raw []byte, typeOf func(string) reflect.Type) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, err := dec.Token()
	seen := map[string]bool{}
	for err == nil && dec.More() {
		var token json.Token
		if token, err = dec.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		field := join(path, key)
		t := typeOf(key)
		switch {
		case t == nil:
			return api.Invalid(field, "is not a known field")
		case seen[key]:
			return api.Invalid(field, "is given twice")
		}
		seen[key] = true
		var value json.RawMessage
		if err = dec.Decode(&value); err != nil {
			break
		}
		if err := check(field, value, t); err != nil {
			return err
		}
	}
	return fieldError(path, err)
}

func checkList(path string, raw []byte, elem reflect.Type) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return fieldError(path, err)
	}
	for i, item := range items {
		if err := check(path+"["+strconv.Itoa(i)+"]", item, elem); err != nil {
			return err
		}
	}
	return nil
}

// structFields finds the type of a field by its exact JSON name. encoding/json
// also takes other cases ("Source"); two spellings of a field are one too many.
func structFields(t reflect.Type) func(string) reflect.Type {
	byName := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || f.Tag.Get("json") == "-" || (f.Anonymous && name == ""):
			continue
		case name == "":
			name = f.Name
		}
		byName[name] = f.Type
	}
	return func(name string) reflect.Type { return byName[name] }
}

func fieldError(path string, err error) error {
	if err == nil {
		return nil
	}
	if path == "" {
		path = "body"
	}
	if inner, ok := errors.AsType[*api.FieldError](err); ok {
		return &api.FieldError{Field: path + "." + inner.Field, Detail: inner.Detail}
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return api.Invalid(path, "is a %s; want %s", wrong.Value, wanted(wrong.Type))
	}
	return api.Invalid(path, "%v", err)
}

// join appends a key as the user wrote it; what a terminal would not show is
// quoted, and a long one cut.
func join(path, key string) string {
	if runes := []rune(key); len(runes) > 64 {
		key = string(runes[:64]) + "…"
	}
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) {
		key = strconv.QuoteToASCII(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a " + t.Kind().String()
	}
}

func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func badByte(data []byte) int {
	at := 0
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}
