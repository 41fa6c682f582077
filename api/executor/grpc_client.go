package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"burrow/api"
	pb "burrow/api/executor/executorpb"
)

// cancelGrace is how long a cancelled Run waits for the executor to say that
// the program is gone before it hangs up.
const cancelGrace = 5 * time.Second

// grpcClient is the host's side: an [Executor] that lives in another process.
type grpcClient struct {
	rpc pb.ExecutorClient
}

// callOptions overrides go-plugin's 2 GiB message sizes.
func callOptions() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)}
}

// Describe implements [Executor].
func (c *grpcClient) Describe(ctx context.Context) (Description, error) {
	d, err := c.rpc.Describe(ctx, &pb.DescribeRequest{}, callOptions()...)
	if err != nil {
		return Description{}, fromStatus(ctx, err)
	}
	return descriptionFromProto(d), nil
}

// Run implements [Executor]. When ctx ends it asks for a cancel and waits for
// the executor's word, so that a caller who gets ctx's error back knows that
// the program is dead (but at most 5 s: the executor may hang).
func (c *grpcClient) Run(ctx context.Context, req Request, out OutputFunc) (api.Outcome, error) {
	streamCtx, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	stream, err := c.rpc.Run(streamCtx, callOptions()...)
	if err != nil {
		return api.Outcome{}, fromStatus(ctx, err)
	}

	// One goroutine sends: gRPC allows no concurrent Send, and a Send can
	// block on flow control while events must be read.
	finished := make(chan struct{})
	var helpers sync.WaitGroup
	defer func() {
		close(finished)
		hangUp()
		helpers.Wait()
	}()
	helpers.Go(func() { send(ctx, stream, req, finished) })
	helpers.Go(func() {
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		grace := time.NewTimer(cancelGrace)
		defer grace.Stop()
		select {
		case <-finished:
		case <-grace.C:
			hangUp()
		}
	})

	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return api.Outcome{}, fmt.Errorf("executor ended the job without an outcome: %w", api.ErrExecutorLost)
		}
		if err != nil {
			return api.Outcome{}, fromStatus(ctx, err)
		}
		switch event := event.GetEvent().(type) {
		case *pb.RunEvent_Output:
			name, ok := streamFromProto(event.Output.GetStream())
			if !ok {
				return api.Outcome{}, fmt.Errorf("executor sent output of unknown stream %v: %w", event.Output.GetStream(), api.ErrExecutorLost)
			}
			if err := out(name, event.Output.GetData()); err != nil {
				return api.Outcome{}, err
			}
		case *pb.RunEvent_Outcome:
			return outcomeFromProto(event.Outcome), nil
		}
	}
}

// send gives the job to the executor and passes a cancel on when ctx ends.
// Errors of Send are not looked at: Recv reports the real one.
func send(ctx context.Context, stream grpc.BidiStreamingClient[pb.RunRequest, pb.RunEvent], req Request, finished <-chan struct{}) {
	sent := stream.Send(&pb.RunRequest{Message: &pb.RunRequest_Start{Start: requestToProto(req)}}) == nil
	for rest, end := req.Spec.Stdin, false; sent && !end && ctx.Err() == nil; {
		n := min(len(rest), 8*maxChunk)
		end = n == len(rest)
		sent = stream.Send(&pb.RunRequest{Message: &pb.RunRequest_Stdin{Stdin: &pb.StdinChunk{Data: []byte(rest[:n]), End: end}}}) == nil
		rest = rest[n:]
	}
	select {
	case <-finished:
	case <-ctx.Done():
		_ = stream.Send(&pb.RunRequest{Message: &pb.RunRequest_Cancel{Cancel: &pb.Cancel{}}})
	}
}

// fromStatus is the reverse of toStatus. A status without our Problem comes
// from gRPC itself: the executor's process or connection is gone.
func fromStatus(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%w: %w", api.ErrExecutorLost, err)
	}
	for _, detail := range st.Details() {
		if p, ok := detail.(*pb.Problem); ok {
			return problemFromProto(p)
		}
	}
	switch st.Code() {
	case codes.ResourceExhausted: // a message over maxMessage
		return fmt.Errorf("job is too large for the executor: %w: %s", api.ErrTooLarge, st.Message())
	case codes.Unimplemented:
		return errors.New("executor does not know this call: " + st.Message())
	default:
		return fmt.Errorf("%w: %s", api.ErrExecutorLost, st.Message())
	}
}
