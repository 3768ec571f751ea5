package beagle

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestHTTP(t *testing.T) {
	t.Parallel()
	wall := rt.NewWall(1)
	b := newWith(wall, port.Ports{Log: memClient{newMemLog(1), wall}, Definitions: newMemDefs(), Counts: newMemCounts(), Events: &sink{}},
		DefaultConfig(), topic, "b1", planted.Set{}, &fakeMember{r: wall})
	h := Handler(b)
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	b.note("the coordinator will not have it")
	if code, body := get("GET", "/healthz"); code != 503 || !strings.Contains(body, "the coordinator will not have it") {
		t.Errorf("%d %s", code, body)
	}
	b.take(t.Context(), endedTasks(t, wall), group.Assignment{Generation: 3, Member: "m", Partitions: []int32{0}})
	if code, body := get("GET", "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get("POST", "/status"); code != 405 {
		t.Error(code)
	}
	if code, _ := get("GET", "/other"); code != 404 {
		t.Error(code)
	}
	var st Status
	if code, body := get("GET", "/status"); code != 200 || json.Unmarshal([]byte(body), &st) != nil || !reflect.DeepEqual(st, b.Status()) || st.Generation != 3 || len(st.Partitions) != 1 {
		t.Errorf("%d %s, want %+v", code, body, b.Status())
	}
}

// endedTasks is a group of a process that is dead: its tasks do nothing.
func endedTasks(t *testing.T, wall *rt.Wall) *rt.Group {
	t.Helper()
	wall.Kill()
	tasks, _ := rt.NewGroup(wall, context.Background())
	return tasks
}
