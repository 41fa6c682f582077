package metrics

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func scrape(t *testing.T, samples ...Sample) string {
	t.Helper()
	w := httptest.NewRecorder()
	h := Handler(func(context.Context) []Sample { return samples })
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHandlerRendersSamples(t *testing.T) {
	t.Parallel()
	got := scrape(
		t,
		Sample{Name: "burrow_jobs_total", Help: "Ended jobs.", Counter: true, Labels: map[string]string{"state": "failed", "peer": "a\nb"}, Value: 2},
		Sample{Name: "burrow_jobs_total", Help: "Ended jobs.", Counter: true, Labels: map[string]string{"state": "succeeded", "peer": "c"}, Value: 3},
		Sample{Name: "burrow_slots", Help: "Slots.", Value: 4},
	)
	for _, want := range []string{
		"# TYPE burrow_jobs_total counter\n",
		"burrow_jobs_total{peer=\"a\\nb\",state=\"failed\"} 2\n",
		"burrow_jobs_total{peer=\"c\",state=\"succeeded\"} 3\n",
		"# HELP burrow_slots Slots.\n# TYPE burrow_slots gauge\nburrow_slots 4\n",
		"\ngo_goroutines ", "\nprocess_",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestABadSampleDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	got := scrape(
		t,
		Sample{Name: "bad\xff", Help: "x"},
		Sample{Name: "burrow_twice", Help: "x", Value: 1}, Sample{Name: "burrow_twice", Help: "x", Value: 2},
		Sample{Name: "burrow_good", Help: "x", Value: 1},
	)
	if !strings.Contains(got, "\nburrow_good 1\n") {
		t.Errorf("the good sample is missing in:\n%s", got)
	}
}

func TestHandlersDoNotShareState(t *testing.T) {
	t.Parallel()
	for range 2 {
		if got := scrape(t, Sample{Name: "burrow_x", Help: "x", Value: 1}); !strings.Contains(got, "burrow_x 1") {
			t.Error(got)
		}
	}
}
