package query

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/query/exec"
)

// TestShelfIsBounded: a result for which there is no room is replaced by the reason; what is old makes room.
func TestShelfIsBounded(t *testing.T) {
	t.Parallel()
	h, now := newShelf(100, "query1"), time.Unix(1000, 0)
	large := &exec.Result{Columns: []string{strings.Repeat("n", 1<<20)}, Rows: make([]exec.Row, 100)} // the name counts for each row
	put := func() storedResult {
		t.Helper()
		id, ok := h.putResult(storedResult{}, now)
		if !ok {
			t.Fatal("no room for a result that is to come")
		}
		h.finish(id, &Answer{Code: http.StatusOK, Result: large}, now)
		r, _ := h.result(id)
		return r
	}
	for i, want := range []int{200, 200, 503, 503} {
		if r := put(); r.answer.Code != want || want == 503 && !strings.Contains(r.answer.Error, "100 MiB") {
			t.Errorf("%d: %d %s", i, r.answer.Code, r.answer.Error)
		}
	}
	if _, _, running := h.count(); running != 0 || h.bytes > maxShelfBytes {
		t.Errorf("%d run, %d bytes", running, h.bytes)
	}
	now = now.Add(2 * keepResult)
	if r := put(); r.answer.Code != http.StatusOK {
		t.Errorf("%d %s", r.answer.Code, r.answer.Error)
	}
}
