package executor

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"burrow/api"
	pb "burrow/api/executor/executorpb"
)

// fill sets every field below v to a value of its own, so that a field that a
// conversion forgets or mixes up cannot go unseen.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("fill does not know " + v.Kind().String())
	}
}

func filled[T any]() T {
	var v T
	var n int64
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

// wire sends m through its encoded form.
func wire[T proto.Message](t testing.TB, m T) T {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	back := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(data, back); err != nil {
		t.Fatal(err)
	}
	return back.(T)
}

func TestEveryFieldSurvivesTheWire(t *testing.T) {
	t.Parallel()
	req := filled[Request]()
	if diff := cmp.Diff(req, requestFromProto(wire(t, requestToProto(req)), req.Spec.Stdin)); diff != "" {
		t.Errorf("Request (-want +got):\n%s", diff)
	}
	outcome := filled[api.Outcome]()
	if diff := cmp.Diff(outcome, outcomeFromProto(wire(t, outcomeToProto(outcome)))); diff != "" {
		t.Errorf("Outcome (-want +got):\n%s", diff)
	}
	d := filled[Description]()
	if diff := cmp.Diff(d, descriptionFromProto(wire(t, descriptionToProto(d)))); diff != "" {
		t.Errorf("Description (-want +got):\n%s", diff)
	}
	for _, stream := range []api.Stream{api.Stdout, api.Stderr} {
		if got, ok := streamFromProto(streamToProto(stream)); !ok || got != stream {
			t.Errorf("stream %s came back as %q", stream, got)
		}
	}
}

func TestZeroValuesSurviveTheWire(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Request{}, requestFromProto(wire(t, requestToProto(Request{})), "")); diff != "" {
		t.Errorf("Request (-want +got):\n%s", diff)
	}
	none := 0
	with := Request{Spec: api.JobSpec{Retries: &none}}
	if diff := cmp.Diff(with, requestFromProto(wire(t, requestToProto(with)), "")); diff != "" {
		t.Errorf("zero retries are not the default (-want +got):\n%s", diff)
	}
	// A message without anything in it must not panic either.
	requestFromProto(&pb.Start{}, "")
	outcomeFromProto(&pb.Outcome{})
	descriptionFromProto(nil)
}

// An outcome survives whatever bytes a program put into its message.
func FuzzOutcome(f *testing.F) {
	f.Add("failed", "ValueError: \xff", int64(1), int64(-5))
	f.Fuzz(func(t *testing.T, state, message string, exit, memory int64) {
		in := api.Outcome{State: api.JobState(clean(state)), Message: message, ExitCode: int(exit), Usage: api.Usage{Memory: api.Size(memory)}}
		out := outcomeFromProto(wire(t, outcomeToProto(in)))
		in.Message = clean(message)
		if diff := cmp.Diff(in, out); diff != "" {
			t.Error(diff)
		}
	})
}

// Foreign bytes are decoded or refused, never worse; what is decoded survives
// a second trip.
func FuzzStart(f *testing.F) {
	seed, err := proto.Marshal(requestToProto(filled[Request]()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var m pb.Start
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		req := requestFromProto(&m, "")
		if diff := cmp.Diff(req, requestFromProto(wire(t, requestToProto(req)), ""), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
