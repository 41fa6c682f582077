package executor

import (
	"errors"
	"strings"

	"burrow/api"
	pb "burrow/api/executor/executorpb"
)

// requestToProto leaves the stdin out: it travels in chunks of its own.
func requestToProto(r Request) *pb.Start {
	s := r.Spec
	out := &pb.Spec{
		Source: s.Source, Name: s.Name, Args: s.Args, Env: s.Env,
		Runtime: string(s.Runtime), Labels: s.Labels, Limits: limitsToProto(s.Limits),
	}
	if s.Retries != nil {
		n := int64(*s.Retries)
		out.Retries = &n
	}
	return &pb.Start{Job: r.Job, Attempt: r.Attempt, Spec: out}
}

func requestFromProto(m *pb.Start, stdin string) Request {
	s := m.GetSpec()
	spec := api.JobSpec{
		Source: s.GetSource(), Name: s.GetName(), Args: s.GetArgs(), Stdin: stdin, Env: s.GetEnv(),
		Runtime: api.Runtime(s.GetRuntime()), Labels: s.GetLabels(), Limits: limitsFromProto(s.GetLimits()),
	}
	if s != nil && s.Retries != nil {
		n := int(s.GetRetries())
		spec.Retries = &n
	}
	return Request{Job: m.GetJob(), Attempt: m.GetAttempt(), Spec: spec}
}

func limitsToProto(l api.Limits) *pb.Limits {
	return &pb.Limits{
		Wall: int64(l.Wall), Cpu: int64(l.CPU), Memory: int64(l.Memory),
		Output: int64(l.Output), Disk: int64(l.Disk), Processes: int64(l.Processes),
	}
}

func limitsFromProto(m *pb.Limits) api.Limits {
	return api.Limits{
		Wall: api.Duration(m.GetWall()), CPU: api.Duration(m.GetCpu()), Memory: api.Size(m.GetMemory()),
		Output: api.Size(m.GetOutput()), Disk: api.Size(m.GetDisk()), Processes: int(m.GetProcesses()),
	}
}

// outcomeToProto cleans the texts: protobuf refuses strings that are not
// UTF-8, and an outcome must never be lost over a message.
func outcomeToProto(o api.Outcome) *pb.Outcome {
	return &pb.Outcome{
		State: string(o.State), ExitCode: int64(o.ExitCode), Signal: clean(o.Signal), Limit: clean(o.Limit),
		Message: clean(o.Message), Runtime: string(o.Runtime), Sandbox: clean(o.Sandbox),
		Usage: &pb.Usage{
			Wall: int64(o.Usage.Wall), Cpu: int64(o.Usage.CPU),
			Memory: int64(o.Usage.Memory), Output: int64(o.Usage.Output),
		},
	}
}

func outcomeFromProto(m *pb.Outcome) api.Outcome {
	u := m.GetUsage()
	return api.Outcome{
		State: api.JobState(m.GetState()), ExitCode: int(m.GetExitCode()), Signal: m.GetSignal(), Limit: m.GetLimit(),
		Message: m.GetMessage(), Runtime: api.Runtime(m.GetRuntime()), Sandbox: m.GetSandbox(),
		Usage: api.Usage{
			Wall: api.Duration(u.GetWall()), CPU: api.Duration(u.GetCpu()),
			Memory: api.Size(u.GetMemory()), Output: api.Size(u.GetOutput()),
		},
	}
}

func descriptionToProto(d Description) *pb.Description {
	out := &pb.Description{Version: clean(d.Version), Limits: d.Limits}
	for _, r := range d.Runtimes {
		out.Runtimes = append(out.Runtimes, &pb.RuntimeInfo{Name: string(r.Name), Version: clean(r.Version)})
	}
	for _, l := range d.Layers {
		out.Layers = append(out.Layers, &pb.Layer{Name: clean(l.Name), Active: l.Active, Reason: clean(l.Reason)})
	}
	return out
}

func descriptionFromProto(m *pb.Description) Description {
	d := Description{Version: m.GetVersion(), Limits: m.GetLimits()}
	for _, r := range m.GetRuntimes() {
		d.Runtimes = append(d.Runtimes, api.RuntimeInfo{Name: api.Runtime(r.GetName()), Version: r.GetVersion()})
	}
	for _, l := range m.GetLayers() {
		d.Layers = append(d.Layers, api.Layer{Name: l.GetName(), Active: l.GetActive(), Reason: l.GetReason()})
	}
	return d
}

func streamToProto(s api.Stream) pb.Stream {
	switch s {
	case api.Stdout:
		return pb.Stream_STREAM_STDOUT
	case api.Stderr:
		return pb.Stream_STREAM_STDERR
	default:
		return pb.Stream_STREAM_UNSPECIFIED
	}
}

// streamFromProto reports false for a stream that this version does not know:
// showing such bytes as the program's output would be wrong.
func streamFromProto(s pb.Stream) (api.Stream, bool) {
	switch s {
	case pb.Stream_STREAM_STDOUT:
		return api.Stdout, true
	case pb.Stream_STREAM_STDERR:
		return api.Stderr, true
	default:
		return "", false
	}
}

// problemToProto carries an error of the executor over the wire. Unlike at the
// HTTP edge the text of an internal error goes along: the host is trusted.
func problemToProto(err error) *pb.Problem {
	p := api.NewProblem(err)
	if p.Code == "internal" {
		p.Detail = err.Error()
	}
	return &pb.Problem{Code: p.Code, Detail: clean(p.Detail), Field: clean(p.Field)}
}

func problemFromProto(m *pb.Problem) error {
	if m.GetCode() == "internal" {
		return errors.New(m.GetDetail())
	}
	return api.Problem{Code: m.GetCode(), Detail: m.GetDetail(), Field: m.GetField()}.Err()
}

func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
