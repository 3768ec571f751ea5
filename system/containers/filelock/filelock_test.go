package filelock

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestLockExcludesUntilReleased(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "a.lock")
	first, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); !errors.Is(err, ErrHeld) {
		t.Fatalf("second lock while the first is held: %v, want ErrHeld", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := Try(path)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := second.Remove(); err != nil {
		t.Fatal(err)
	}
	third, err := Try(path)
	if err != nil {
		t.Fatalf("after removal: %v", err)
	}
	_ = third.Remove()
}
