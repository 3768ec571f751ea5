package event

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestSizesAreThoseOfTheTypes(t *testing.T) {
	t.Parallel()
	if n := int(reflect.TypeFor[Field]().Size()); n != sizeOfField {
		t.Errorf("a field takes %d bytes, counted as %d", n, sizeOfField)
	}
	if n := int(reflect.TypeFor[Item]().Size()); n > sizeOfItem-128 {
		t.Errorf("an item takes %d bytes, counted as %d with its answer", n, sizeOfItem)
	}
}

// hostile bodies take much more memory decoded than as text.
func hostile() map[string][]byte {
	fill := func(element string, size int) []byte {
		n := size / (len(element) + 1)
		return []byte("[" + strings.Repeat(element+",", n) + element + "]")
	}
	wide := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%x":1`, i)
		}
		return `{"data":{` + b.String()[1:] + `}}`
	}
	return map[string][]byte{
		"empty events":    fill(`{}`, 140_000),
		"numbers":         fill(`7`, 99_000),
		"tiny events":     fill(`{"data":{"":1}}`, 700_000),
		"wide events":     fill(wide(2000), 1_000_000),
		"repeated prefix": fill(`{"data":{"`+strings.Repeat("n", 60_000)+`":{`+manyFields(14)+`}}}`, 1_000_000),
		"escapes":         fill(`{"data":{"a":"`+strings.Repeat(`\n`, 30_000)+`"}}`, 1_000_000),
		"spaced arrays":   fill(`{"data":{"a":[`+strings.Repeat("1 , ", 15_000)+`1]}}`, 1_000_000),
		"deep":            fill(`{"data":{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}}`, 800_000),
		"large errors":    fill(`{"data":{"`+strings.Repeat("x", 64)+`":1e999}}`, 1_000_000),
	}
}

// TestMemoryIsGrantedBeforeItIsTaken compares what decoding allocates and keeps with what it asked for.
func TestMemoryIsGrantedBeforeItIsTaken(t *testing.T) { // not parallel: it measures the whole process's memory
	for name, body := range hostile() {
		asked := int64(0)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		items, err := DecodeBatch(body, Options{Now: now, Reserve: func(n int64) bool { asked += n; return true }})
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > asked+asked/8+64<<10 {
			t.Errorf("%s: %d bytes of text keep %d bytes decoded, asked for %d", name, len(body), kept, asked)
		}
		if asked > 32*int64(len(body))+MaxBatchEvents*int64(sizeOfItem) {
			t.Errorf("%s: %d bytes asked for %d bytes of text", name, asked, len(body))
		}
		runtime.KeepAlive(items)
	}
}

// TestNoRoomEndsDecoding: whenever memory is not granted, decoding ends, with about what was granted.
func TestNoRoomEndsDecoding(t *testing.T) { // not parallel, as above
	for name, body := range hostile() {
		total := int64(0)
		if _, err := DecodeBatch(body, Options{Now: now, Reserve: func(n int64) bool { total += n; return true }}); err != nil {
			t.Fatal(name, err)
		}
		for _, share := range []int64{0, 10, 50, 90} {
			left := total * share / 100
			limit := left
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			items, err := DecodeBatch(body, Options{Now: now, Reserve: func(n int64) bool { left -= n; return left >= 0 }})
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrNoRoom) || items != nil {
				t.Errorf("%s with %d%%: %v, %d items", name, share, err, len(items))
			}
			// What is thrown away again counts here: strings that grow, items that move.
			if n := int64(after.TotalAlloc - before.TotalAlloc); n > 6*limit+256<<10 {
				t.Errorf("%s with %d%%: %d bytes allocated, %d granted", name, share, n, limit)
			}
		}
	}
	if _, err := DecodeEvent([]byte(`{"a":1}`), "", "", Options{Now: now, Reserve: func(int64) bool { return false }}); !errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
}
