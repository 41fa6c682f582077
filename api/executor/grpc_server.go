package executor

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"burrow/api"
	pb "burrow/api/executor/executorpb"
)

// grpcServer is the plugin's side: it turns calls into calls of impl.
type grpcServer struct {
	pb.UnimplementedExecutorServer
	impl Executor
}

func (s *grpcServer) Describe(ctx context.Context, _ *pb.DescribeRequest) (*pb.Description, error) {
	d, err := s.impl.Describe(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return descriptionToProto(d), nil
}

func (s *grpcServer) Run(stream grpc.BidiStreamingServer[pb.RunRequest, pb.RunEvent]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	req, err := receiveRequest(stream)
	if err != nil {
		return toStatus(err)
	}
	// Ends with the handler: gRPC then fails the pending Recv.
	go func() {
		for {
			m, err := stream.Recv()
			switch {
			case errors.Is(err, io.EOF): // the host has no more to say, it still listens
				return
			case err != nil || m.GetCancel() != nil:
				cancel()
				return
			}
		}
	}()
	outcome, err := s.impl.Run(ctx, req, func(name api.Stream, data []byte) error {
		for len(data) > 0 {
			n := min(len(data), maxChunk)
			event := &pb.RunEvent{Event: &pb.RunEvent_Output{Output: &pb.Output{Stream: streamToProto(name), Data: data[:n]}}}
			if err := stream.Send(event); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	})
	if err != nil {
		return toStatus(err)
	}
	return stream.Send(&pb.RunEvent{Event: &pb.RunEvent_Outcome{Outcome: outcomeToProto(outcome)}})
}

// receiveRequest reads the start and the stdin, at most api.MaxStdin of it.
func receiveRequest(stream grpc.BidiStreamingServer[pb.RunRequest, pb.RunEvent]) (Request, error) {
	var start *pb.Start
	var stdin []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return Request{}, api.Invalid("start", "the stream ended before the job was complete")
		}
		if err != nil {
			return Request{}, err
		}
		switch m := m.GetMessage().(type) {
		case *pb.RunRequest_Start:
			if start != nil {
				return Request{}, api.Invalid("start", "came twice")
			}
			start = m.Start
		case *pb.RunRequest_Stdin:
			if len(stdin)+len(m.Stdin.GetData()) > api.MaxStdin {
				return Request{}, api.ErrTooLarge
			}
			stdin = append(stdin, m.Stdin.GetData()...)
			if m.Stdin.GetEnd() {
				if start == nil {
					return Request{}, api.Invalid("start", "must come before the stdin")
				}
				return requestFromProto(start, string(stdin)), nil
			}
		case *pb.RunRequest_Cancel:
			return Request{}, context.Canceled
		}
	}
}

// toStatus gives err the status code nearest to it. What it really was goes
// along as a Problem, so that the host can tell the executor's own "not
// available" from a broken connection.
func toStatus(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	code := codes.Unknown
	for _, row := range []struct {
		err  error
		code codes.Code
	}{
		{api.ErrInvalid, codes.InvalidArgument},
		{api.ErrTooLarge, codes.OutOfRange},
		{api.ErrNotFound, codes.NotFound},
		{api.ErrUnavailable, codes.ResourceExhausted},
	} {
		if errors.Is(err, row.err) {
			code = row.code
			break
		}
	}
	st, detailErr := status.New(code, clean(err.Error())).WithDetails(problemToProto(err))
	if detailErr != nil {
		return status.Error(code, clean(err.Error()))
	}
	return st.Err()
}
