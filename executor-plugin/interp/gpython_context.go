package interp

import (
	"github.com/go-python/gpython/py"
	// Linked for their registration: what is missing here cannot be imported.
	// The umbrella package stdlib would also bring os, tempfile and glob.
	_ "github.com/go-python/gpython/compile"
	_ "github.com/go-python/gpython/stdlib/builtin"
	_ "github.com/go-python/gpython/stdlib/math"
	_ "github.com/go-python/gpython/stdlib/string"
	_ "github.com/go-python/gpython/stdlib/sys"
	_ "github.com/go-python/gpython/stdlib/time"
	_ "github.com/go-python/gpython/vm"
)

// pyContext is a py.Context that knows no disk: the stock one searches the
// working directory and /usr/lib/python3.4 for modules.
type pyContext struct {
	store *py.ModuleStore
	done  chan struct{}
	// notFound is the type of a failed import's exception.
	notFound *py.Type
}

func newPyContext(job gpythonJob, in *textReader, out, errOut *textWriter) (*pyContext, error) {
	ctx := &pyContext{store: py.NewModuleStore(), done: make(chan struct{})}
	if err := py.Import(ctx, "builtins", "sys"); err != nil {
		return nil, err
	}
	builtins := ctx.store.Builtins.Globals
	delete(builtins, "open")
	var err error
	if ctx.notFound, err = newException(py.ImportError, "ModuleNotFoundError"); err != nil {
		return nil, err
	}
	builtins["ModuleNotFoundError"] = ctx.notFound
	recursion, err := newException(py.RuntimeError, "RecursionError")
	if err != nil {
		return nil, err
	}
	builtins["RecursionError"] = recursion
	limitDepth(recursion)
	mendIteration()
	mendBuiltins(builtins)

	sys := ctx.store.MustGetModule("sys").Globals
	sys["argv"] = py.NewListFromStrings(append([]string{job.Filename}, job.Args...))
	sys["path"] = py.NewList()
	sys["stdin"], sys["stdout"], sys["stderr"] = in, out, errOut
	sys["__stdin__"], sys["__stdout__"], sys["__stderr__"] = in, out, errOut
	return ctx, nil
}

// newException makes a type that except clauses can catch: only Ready gives a
// type its method resolution order, and it does nothing for a type that took
// the ready flag over from its base.
func newException(base *py.Type, name string) (*py.Type, error) {
	t := base.NewType(name, base.Doc, nil, nil)
	t.Flags &^= py.TPFLAGS_READY
	return t, t.Ready()
}

// ResolveAndCompile implements py.Context: there is nothing to be found.
func (c *pyContext) ResolveAndCompile(pathname string, _ py.CompileOpts) (py.CompileOut, error) {
	return py.CompileOut{}, py.ExceptionNewf(c.notFound, "No module named '%s'", moduleName(pathname))
}

// ModuleInit implements py.Context.
func (c *pyContext) ModuleInit(impl *py.ModuleImpl) (*py.Module, error) {
	code := impl.Code
	if code == nil && impl.CodeSrc != "" {
		var err error
		if code, err = py.Compile(impl.CodeSrc, impl.Info.FileDesc, py.ExecMode, 0, true); err != nil {
			return nil, err
		}
	}
	module, err := c.store.NewModule(c, impl)
	if err != nil || code == nil {
		return module, err
	}
	_, err = c.RunCode(code, module.Globals, module.Globals, nil)
	return module, err
}

// RunCode implements py.Context. It goes through py.VmEvalCode, which
// limitDepth has replaced.
func (c *pyContext) RunCode(code *py.Code, globals, locals py.StringDict, closure py.Tuple) (py.Object, error) {
	return py.VmEvalCode(c, code, globals, locals, nil, nil, nil, nil, closure)
}

// GetModule implements py.Context.
func (c *pyContext) GetModule(name string) (*py.Module, error) { return c.store.GetModule(name) }

// Store implements py.Context.
func (c *pyContext) Store() *py.ModuleStore { return c.store }

// Close implements py.Context. The process ends with the job.
func (c *pyContext) Close() error { return nil }

// Done implements py.Context.
func (c *pyContext) Done() <-chan struct{} { return c.done }
