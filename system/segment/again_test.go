package segment

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAgain: a builder with another's memory makes the same bytes as a new one, and views of the other stay as they were.
func TestAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder(1, 2, 3)
		for range 3 {
			rows := genRows(t)
			fresh := NewBuilder(1, 2, 3)
			viewed := rapid.Bool().Draw(t, "viewed")
			var view Source
			for i := range rows {
				b.Append(&rows[i])
				fresh.Append(&rows[i])
				if viewed && i == len(rows)/2 {
					view = b.View()
				}
			}
			got, info, err := b.Encode(0, 9, Options{})
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := fresh.Encode(0, 9, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) || b.Bytes() != fresh.Bytes() {
				t.Fatalf("%d bytes with the memory of another, %d without; %d and %d in memory", len(got), len(want), b.Bytes(), fresh.Bytes())
			}
			b = Again(b, 1, 2, 3)
			more := genRows(t)
			for i := range more {
				b.Append(&more[i])
			}
			if view != nil {
				half := NewBuilder(1, 2, 3)
				for i := range len(rows)/2 + 1 {
					half.Append(&rows[i])
				}
				sameRows(t, view, half.View())
			}
			s, err := Open(info, got)
			if err != nil {
				t.Fatal(err)
			}
			sameRows(t, s, fresh.View())
			b = Again(b, 1, 2, 3)
		}
	})
}

// sameRows fails unless two sources have the same rows.
func sameRows(t *rapid.T, a, b Source) {
	t.Helper()
	x, err := rowsOf(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := rowsOf(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(x, y, sameRow) {
		t.Fatalf("rows %v, expected %v", x, y)
	}
}
