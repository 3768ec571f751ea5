package event

import (
	"errors"
	"testing"
)

func TestHead(t *testing.T) {
	t.Parallel()
	chunk := AppendChunkFrom(nil, Dataset{ID: 3, Name: "d"}, make([]Event, 7), ID{Source: 1 << 63, Seq: 42})
	id, n, err := Head(chunk)
	if err != nil || n != 7 || id != (ID{Source: 1 << 63, Seq: 42}) {
		t.Errorf("%v, %d events, %v", id, n, err)
	}
	for i := range chunk { // whatever is damaged
		damaged := append([]byte(nil), chunk...)
		damaged[i] ^= 4
		if _, _, err := Head(damaged); err == nil {
			t.Errorf("byte %d flipped: expected an error", i)
		}
	}
	if _, _, err := Head(AppendChunkFrom(nil, Dataset{}, nil, ID{})); !errors.Is(err, ErrDamaged) {
		t.Errorf("without events: %v", err)
	}
}
