package system_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
)

func TestTopologyJSONHasReadableDurations(t *testing.T) {
	t.Parallel()
	want := system.Default()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"session_timeout":"3s"`, `"ack_timeout":"12s"`, `"sync_every":"200ms"`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("%s is not in %s", part, data)
		}
	}
	var got system.Topology
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("read back %+v, want %+v", got, want)
	}
}

func TestTopologyJSONKeepsWhatIsNotSaid(t *testing.T) {
	t.Parallel()
	got := system.Default()
	if err := json.Unmarshal([]byte(`{"kafka":{"session_timeout":"9s"},"shepherd":{"sick_for":"2s"},"retriever":{"dedup_window":7}}`), &got); err != nil {
		t.Fatal(err)
	}
	want := system.Default()
	want.Kafka.SessionTimeout, want.Shepherd.SickFor, want.Retriever.DedupWindow = 9*time.Second, 2*time.Second, 7
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}
