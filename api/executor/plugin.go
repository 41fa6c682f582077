package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "burrow/api/executor/executorpb"
)

//go:generate protoc -I executorpb --go_out=executorpb --go_opt=paths=source_relative --go-grpc_out=executorpb --go-grpc_opt=paths=source_relative executorpb/executor.proto

const (
	// PluginName is the name under which an executor is dispensed.
	PluginName = "executor"
	// ProtocolVersion changes whenever host and plugin no longer understand
	// each other. Both sides refuse another version at the handshake.
	ProtocolVersion = 1

	cookieKey   = "BURROW_EXECUTOR_PLUGIN"
	cookieValue = "5c1f0f6a-2d4e-4f0b-9a0e-burrow-executor"

	// maxChunk bounds one output event; small chunks keep output live and the
	// memory of a slow stream flat.
	maxChunk = 32 << 10
	// maxMessage bounds every gRPC message of both sides; go-plugin's own
	// bound is 2 GiB.
	maxMessage = 16 << 20
)

// ErrNoHost is returned by [Serve] when the process was not started by peerd.
var ErrNoHost = errors.New("not started by a host")

// Handshake is what host and plugin must agree on. The cookie is no secret: it
// keeps a person from running a plugin by hand and a host from running a
// program that is no plugin.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: ProtocolVersion, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// Plugins is go-plugin's map. impl is nil on the host's side.
func Plugins(impl Executor) plugin.PluginSet {
	return plugin.PluginSet{PluginName: &grpcPlugin{impl: impl}}
}

// Serve makes this process an executor plugin. It returns when the host closes
// the connection, or at once with [ErrNoHost]. Nothing else may write to
// stdout: the handshake line goes there. The plugin's log goes to logs, which
// the host shows (os.Stderr in a plugin's main).
func Serve(impl Executor, logs io.Writer) error {
	if os.Getenv(cookieKey) != cookieValue {
		return fmt.Errorf("%w: an executor plugin is started by peerd (peerd --executor PATH)", ErrNoHost)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         Plugins(impl),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Name: "executor", Level: hclog.Info, Output: logs, JSONFormat: true}),
	})
	return nil
}

type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	impl Executor
}

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterExecutorServer(s, &grpcServer{impl: p.impl})
	return nil
}

func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &grpcClient{rpc: pb.NewExecutorClient(conn)}, nil
}

// Compile-time checks.
var (
	_ plugin.GRPCPlugin = (*grpcPlugin)(nil)
	_ Executor          = (*grpcClient)(nil)
)
