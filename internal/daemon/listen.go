package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Listen opens a TCP listener on addr, "host:port" with a loopback address or
// localhost; port 0 lets the kernel choose. Every other address is refused:
// until TLS arrives, tokens and jobs would cross the network in clear. Errors
// say what to do: they name --port and --listen.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q is not host:port; write it like 127.0.0.1:9001", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("port %q is not a number from 0 to 65535; choose another with --port or --listen", port)
	} else {
		port = strconv.FormatUint(n, 10)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return nil, notLoopback(addr)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is in use; choose another with --port or --listen", port)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %s needs privileges; choose one over 1023 with --port or --listen", port)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	// localhost is what the machine's resolver says it is.
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		_ = ln.Close()
		return nil, notLoopback(addr)
	}
	return ln, nil
}

func notLoopback(addr string) error {
	return fmt.Errorf("address %q is not a loopback address: until TLS arrives, only this machine may connect; use 127.0.0.1", addr)
}
