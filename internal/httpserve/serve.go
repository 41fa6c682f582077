package httpserve

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	shutdownGrace  = 10 * time.Second
)

// Serve answers on ln with h until ctx ends, and then stops cleanly: it takes
// no new connections, cancels the context of running requests so that long
// polls and streams end, waits up to 10 s for them and then closes what is
// left, which is an error. A clean end is nil. Headers must arrive within 10 s
// and fit 64 KiB; idle connections live 2 minutes. There is no write timeout:
// long polls and streams outlast any. Requests see the values of ctx.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	return serve(ctx, ln, h, shutdownGrace)
}

func serve(ctx context.Context, ln net.Listener, h http.Handler, grace time.Duration) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          stdlog.New(zerolog.Ctx(ctx), "", 0),
	}
	// Shutdown runs this after the listener is closed: no request begins with
	// a context that is already over.
	srv.RegisterOnShutdown(cancel)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	err := srv.Shutdown(limit)
	if err != nil {
		_ = srv.Close()
		err = fmt.Errorf("shut down: requests still ran after %v: %w", grace, err)
	}
	if serr := <-ended; !errors.Is(serr, http.ErrServerClosed) && err == nil {
		err = fmt.Errorf("serve %s: %w", ln.Addr(), serr)
	}
	return err
}
