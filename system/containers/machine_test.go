package containers

import (
	"context"
	"testing"
)

// TestTheMachineSaysWhatItDoes: whatever machine runs this test has processors and memory, and its time goes on.
func TestTheMachineSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	w := &World{}
	before, ok := w.Machine(context.Background())
	if !ok || before.All <= 0 || before.Idle < 0 || before.Idle > before.All || before.Memory == 0 || before.Available > before.Memory {
		t.Fatalf("%+v, %v", before, ok)
	}
	for after := before; after.All == before.All; { // it is counted in hundredths of a second
		if after, ok = w.Machine(context.Background()); !ok || after.All < before.All || after.Idle < 0 {
			t.Fatalf("%+v after %+v", after, before)
		}
	}
}
