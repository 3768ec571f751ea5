package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestCPUOfAProcess(t *testing.T) {
	t.Parallel()
	got, err := cpuOf("4242 (a b) c) S 1 4242 4242 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 1 2 3")
	if err != nil || got != 2 {
		t.Errorf("got %v %v, want 1.5 s of its own and 0.5 s of the kernel's", got, err)
	}
	for _, bad := range []string{"", "1 (x) S", "1 (x) S 1 1 1 1 1 1 1 1 1 1 many 50 7"} {
		if _, err := cpuOf(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// An answer counts only if it says that everything was taken.
func TestAnswersAreRead(t *testing.T) {
	t.Parallel()
	rejected, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 3, ErrorMessage: "too long"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := otlpTaken(rejected); err == nil || !strings.Contains(err.Error(), "3 spans were rejected: too long") {
		t.Errorf("got %v", err)
	}
	if err := otlpTaken([]byte{0xff}); err == nil {
		t.Error("an answer that is none was taken")
	}
	if err := otlpTaken(nil); err != nil {
		t.Error(err)
	}
	statuses := make([]map[string]any, perRequest)
	for i := range statuses {
		statuses[i] = map[string]any{"status": 202}
	}
	answer := func(list []map[string]any) []byte {
		b, err := msgpack.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := batchTaken(answer(statuses)); err != nil {
		t.Error(err)
	}
	if err := batchTaken(answer(statuses[1:])); err == nil {
		t.Error("a batch with an event missing was taken")
	}
	statuses[7] = map[string]any{"status": 429, "error": "too much"}
	if err := batchTaken(answer(statuses)); err == nil || !strings.Contains(err.Error(), "event 7: 429 too much") {
		t.Errorf("got %v", err)
	}
}

func TestLoadsAreOfOneSize(t *testing.T) {
	t.Parallel()
	for _, l := range loads() {
		body, err := l.body()
		if size := len(body) / perRequest; err != nil || size < 700 || size > 1200 {
			t.Errorf("%s: %d bytes an event, %v", l.name, size, err)
		}
	}
}

func TestReportIsAgainstTheCollector(t *testing.T) {
	t.Parallel()
	all := loads()
	of := func(name string, l load, perCPU ...int64) *result {
		r := &result{load: l, server: &server{name: name}}
		for _, n := range perCPU {
			r.windows = append(r.windows, window{seconds: 4, cpu: 2, events: 2 * n, p50: time.Millisecond, p99: time.Second})
		}
		return r
	}
	var out bytes.Buffer
	if err := report(&out, []*result{of(nameCollector, all[0], 100, 90, 5000), of(nameShepherd, all[0], 250, 1, 300), of(nameShepherd, all[2], 50, 50, 50)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OTLP/gRPC      250           2.50   125", "msgpack batch  50            0.50"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "inconclusive") {
		t.Errorf("two seconds of CPU time were not enough:\n%s", out.String())
	}
	idle := of(nameCollector, all[0], 100)
	idle.windows[0].cpu = 0.06
	if err := report(&out, []*result{idle}); err != nil || !strings.Contains(out.String(), "inconclusive: the Collector had 0.06 s") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := report(&out, []*result{of(nameShepherd, all[0], 250)}); err == nil {
		t.Error("a ratio against nothing")
	}
}
