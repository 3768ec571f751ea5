package event

import "fmt"

// Head returns the first event's ID and the number of events of a chunk. It checks what [DecodeChunk] checks of the chunk as
// a whole and of its first event's head, and returns the same errors; a chunk without events is one.
func Head(data []byte) (first ID, events int, err error) {
	body, err := openChunk(data)
	if err != nil {
		return ID{}, 0, err
	}
	d := chunkReader{b: body}
	_, _, ok := d.dataset()
	events, _, counted := d.counts()
	switch {
	case !ok || !counted:
		return ID{}, 0, d.damage("header")
	case events == 0:
		return ID{}, 0, fmt.Errorf("%w: there is no event in it", ErrDamaged)
	case !d.event():
		return ID{}, 0, d.damage("event")
	}
	return d.id, events, nil
}
