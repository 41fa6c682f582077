package interp

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-python/gpython/py"
)

// exceptionOf returns the exception that err carries, or nil.
func exceptionOf(err error) *py.Exception {
	if info, ok := errors.AsType[py.ExceptionInfo](err); ok {
		exc, _ := info.Value.(*py.Exception)
		return exc
	}
	if exc, ok := errors.AsType[*py.Exception](err); ok {
		return exc
	}
	return nil
}

// formatException prints err as CPython does, without caret lines for
// expressions. last is the final line alone.
func formatException(err error, source string) (text, last string) {
	last = describe(err)
	if exc := exceptionOf(err); exc != nil && py.IsException(py.SyntaxError, err) && exc.Dict["lineno"] != nil {
		return formatSyntaxError(exc, source) + last + "\n", last
	}
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n")
	if info, ok := errors.AsType[py.ExceptionInfo](err); ok {
		var lines []string
		for tb := info.Traceback; tb != nil; tb = tb.Next {
			lines = append(lines, formatFrame(tb, source))
		}
		writeFrames(&b, lines)
	}
	b.WriteString(last + "\n")
	return b.String(), last
}

// writeFrames writes the frames, runs of the same one shortened as CPython
// does it.
func writeFrames(b *strings.Builder, frames []string) {
	const shown = 3
	for i := 0; i < len(frames); {
		run := 1
		for i+run < len(frames) && frames[i+run] == frames[i] {
			run++
		}
		for range min(run, shown) {
			b.WriteString(frames[i])
		}
		if more := run - shown; more > 0 {
			plural := "s"
			if more == 1 {
				plural = ""
			}
			fmt.Fprintf(b, "  [Previous line repeated %d more time%s]\n", more, plural)
		}
		i += run
	}
}

func formatFrame(tb *py.Traceback, source string) string {
	code := tb.Frame.Code
	// tb.Lineno belongs to the instruction after the one that raised.
	line := int(code.Addr2Line(tb.Lasti - 1))
	frame := fmt.Sprintf("  File \"%s\", line %d, in %s\n", code.Filename, line, code.Name)
	if code.Filename == "<string>" { // exec and eval: the source is not ours
		return frame
	}
	if text := strings.TrimSpace(sourceLine(source, line)); text != "" {
		frame += "    " + text + "\n"
	}
	return frame
}

func formatSyntaxError(exc *py.Exception, source string) string {
	line, _ := exc.Dict["lineno"].(py.Int)
	name, _ := exc.Dict["filename"].(py.String)
	text := sourceLine(source, int(line))
	if name == "<string>" {
		given, _ := exc.Dict["line"].(py.String)
		text = strings.TrimRight(string(given), "\r\n")
	}
	out := fmt.Sprintf("  File \"%s\", line %d\n", string(name), int(line))
	stripped := strings.TrimLeft(text, " \t\f")
	if strings.TrimSpace(stripped) == "" {
		return out
	}
	out += "    " + strings.TrimRight(stripped, " \t\r\n") + "\n"
	if offset, ok := exc.Dict["offset"].(py.Int); ok {
		if column := int(offset) - (len(text) - len(stripped)); offset > 0 && column >= 0 && column <= len(stripped) {
			out += "    " + strings.Repeat(" ", len([]rune(stripped[:column]))) + "^\n"
		}
	}
	return out
}

func sourceLine(source string, n int) string {
	for i := 1; n > 0; i++ {
		line, rest, more := strings.Cut(source, "\n")
		if i == n {
			return line
		}
		if !more {
			break
		}
		source = rest
	}
	return ""
}

// describe is the last line of a traceback: "ValueError: text".
func describe(err error) string {
	exc := exceptionOf(err)
	if exc == nil {
		return err.Error()
	}
	name := typeName(exc.Base)
	args, _ := exc.Args.(py.Tuple)
	var text string
	var strErr error
	switch {
	case len(args) == 0:
		return name
	case len(args) > 1:
		text, strErr = py.ReprAsString(args)
	case py.IsException(py.KeyError, exc):
		text, strErr = py.ReprAsString(args[0])
	default:
		text, strErr = py.StrAsString(args[0])
	}
	switch {
	case strErr != nil:
		return name + ": <exception str() failed>"
	case text == "":
		return name
	}
	return name + ": " + text
}

// typeName is qualified as CPython does for classes of the program.
func typeName(t *py.Type) string {
	if module, ok := t.Dict["__module__"].(py.String); ok && module != "builtins" {
		return string(module) + "." + t.Name
	}
	return t.Name
}

// moduleName turns the path that gpython makes of a module back into its name.
// CPython names the first package that is missing.
func moduleName(pathname string) string {
	first, _, _ := strings.Cut(path.Clean(pathname), "/")
	return first
}
