package beagle

import (
	"testing"

	"github.com/ratel-sim/ratel/system/event"
	"pgregory.net/rapid"
)

// TestWindowModel: a copy within reach is always found, a new event never taken for a copy, and what is out of reach is
// forgotten in the end.
func TestWindowModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		reach := rapid.IntRange(1, 40).Draw(t, "reach")
		w := newWindow(reach)
		latest := map[event.ID]int64{} // the record that had it last
		offset := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "records") {
			offset += rapid.Int64Range(1, 3).Draw(t, "step")
			w.at(offset)
			source := rapid.Uint64Range(0, 2).Draw(t, "source")
			first := rapid.Uint64Range(0, 400).Draw(t, "first")
			for i := range rapid.Uint64Range(1, 80).Draw(t, "events") {
				id := event.ID{Source: source, Seq: first + i}
				fresh := w.add(offset, id)
				at, seen := latest[id]
				if fresh && seen && offset-at <= int64(reach) {
					t.Fatalf("offset %d: the copy of %v at %d was not found within %d", offset, id, at, reach)
				}
				if !fresh && !seen {
					t.Fatalf("offset %d: %v is new and was taken for a copy", offset, id)
				}
				latest[id] = offset
			}
		}
		if most := 3 * (reach + 1); len(w.index) > most || len(w.cells) > most+3 { // a record touches at most 3 blocks
			t.Fatalf("%d blocks and %d cells are remembered of at most %d records", len(w.index), len(w.cells), reach+1)
		}
		w.at(offset + int64(reach) + 1)
		if len(w.index) != 0 || w.touched.n != 0 || len(w.free) != len(w.cells) {
			t.Fatalf("%d blocks are left when all are out of reach", len(w.index))
		}
	})
}
