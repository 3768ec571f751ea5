package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// BlobsRow is one behaviour of the Blobs port.
type BlobsRow struct {
	Name  string
	Check func(ctx context.Context, e *BlobsEnv) error
}

// BlobsEnv is what a row of the Blobs table runs in: a bucket of an object store.
type BlobsEnv struct {
	Runtime rt.Runtime
	// A and B are the ports of two processes.
	A, B port.Blobs
	// Prefix is unique to the row: no object's key begins with it.
	Prefix string
	// Kill kills the server at once and Restart starts it again, returning when it answers. Pause and Resume freeze it.
	Kill, Restart, Pause, Resume func(ctx context.Context) error
	// Errors has that share of A's requests fail (0: none): some before they have an effect, some afterwards. Slow has each
	// take that much longer. Both may concern B too.
	Errors func(ctx context.Context, rate float64) error
	Slow   func(ctx context.Context, delay time.Duration) error
}

// Blobs is the table of the Blobs port. Sources: the comments of system/port, the Amazon S3 User Guide (consistency model,
// conditional requests, multipart upload) and API Reference (errors, ListObjectsV2).
func Blobs() []BlobsRow {
	return []BlobsRow{
		{"an object is read as it was put", putAndGet},
		{"what is not there is no object", blobMissing},
		{"a put replaces the object, and its ETag follows the content", replaced},
		{"data is not kept by reference", notByReference},
		{"an empty object is an object", emptyObject},
		{"ranges are cut off at the end", ranges},
		{"a put if absent happens once", putIfAbsent},
		{"a put if it matches compares the ETag", putIfMatch},
		{"of many conditional puts one wins", conditionalRace},
		{"compare and swap loses no update", swap},
		{"a list is sorted and complete at once", list},
		{"a list goes on after a key", listPages},
		{"a deleted object is gone for everyone", deleted},
		{"keys of every kind come back as they were", oddKeys},
		{"an upload is invisible until it is completed", uploadInvisible},
		{"an upload completes once", uploadOnce},
		{"an upload needs its parts, in order and large enough", uploadParts},
		{"a part that is uploaded again replaces the first", partAgain},
		{"a completion can be conditional", uploadCondition},
		{"an aborted upload leaves nothing", uploadAborted},
		{"what was put outlives the death of the server", blobsKilled},
		{"a store that is down refuses", blobsDown},
		{"a put to a store that does not answer is unknown", blobsPaused},
		{"what fails is told exactly, and no put fails its own condition", blobsErrors},
		{"a slow store is waited for, up to the deadline", blobsSlow},
		{"a context that has ended refuses", blobsContext},
	}
}

func (e *BlobsEnv) key(name string) string { return e.Prefix + name }

func (e *BlobsEnv) put(ctx context.Context, name, data string) (port.BlobInfo, error) {
	return e.A.Put(ctx, e.key(name), []byte(data), port.Condition{})
}

// holds checks what an object contains, as both clients see it.
func (e *BlobsEnv) holds(ctx context.Context, name, want string) error {
	for _, c := range []port.Blobs{e.A, e.B} {
		data, info, err := c.Get(ctx, e.key(name))
		if err != nil || string(data) != want || info.Size != int64(len(want)) {
			return fmt.Errorf("%s holds %.50q (%d bytes, info %+v, %w), expected %.50q", name, data, len(data), info, err, want)
		}
	}
	return nil
}

// absent checks that there is no such object.
func (e *BlobsEnv) absent(ctx context.Context, name string) error {
	_, err := e.B.Head(ctx, e.key(name))
	return certainly("head of "+name, err, port.ErrNoBlob)
}

func putAndGet(ctx context.Context, e *BlobsEnv) error {
	data := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	put, err := e.A.Put(ctx, e.key("x/y.z"), data, port.Condition{})
	if err != nil {
		return err
	}
	if put.Key != e.key("x/y.z") || put.Size != int64(len(data)) || put.ETag == "" {
		return fmt.Errorf("put says %+v", put)
	}
	got, info, err := e.B.Get(ctx, e.key("x/y.z"))
	if err != nil || !bytes.Equal(got, data) || info != put {
		return fmt.Errorf("%d bytes, %+v, %w; expected %d, %+v", len(got), info, err, len(data), put)
	}
	head, err := e.B.Head(ctx, e.key("x/y.z"))
	if err != nil || head != put {
		return fmt.Errorf("head says %+v (%w), put said %+v", head, err, put)
	}
	page, more, err := e.B.List(ctx, e.Prefix, "", 10)
	if err != nil || more || !slices.Equal(page, []port.BlobInfo{put}) {
		return fmt.Errorf("list says %+v, %v, %w; put said %+v", page, more, err, put)
	}
	return nil
}

func blobMissing(ctx context.Context, e *BlobsEnv) error {
	key := e.key("missing")
	_, _, get := e.A.Get(ctx, key)
	_, part := e.A.GetRange(ctx, key, 0, 10)
	_, head := e.A.Head(ctx, key)
	_, uploadPart := e.A.UploadPart(ctx, key, "no-such-upload", 1, []byte("x"))
	_, complete := e.A.CompleteUpload(ctx, key, "no-such-upload", []port.Part{{Number: 1, ETag: "0123"}}, port.Condition{})
	page, more, list := e.A.List(ctx, key, "", 10)
	if list != nil || more || len(page) != 0 {
		return fmt.Errorf("list of nothing: %v, %v, %w", page, more, list)
	}
	return errors.Join(
		certainly("get", get, port.ErrNoBlob), certainly("range", part, port.ErrNoBlob), certainly("head", head, port.ErrNoBlob),
		certainly("upload part", uploadPart, port.ErrNoBlob), certainly("complete", complete, port.ErrNoBlob),
		e.A.AbortUpload(ctx, key, "no-such-upload"), e.A.Delete(ctx, key))
}

func replaced(ctx context.Context, e *BlobsEnv) error {
	one, err1 := e.put(ctx, "x", "one")
	same, err2 := e.put(ctx, "same", "one")
	two, err3 := e.put(ctx, "x", "number two")
	if err := errors.Join(err1, err2, err3, e.holds(ctx, "x", "number two")); err != nil {
		return err
	}
	if one.ETag != same.ETag || one.ETag == two.ETag {
		return fmt.Errorf("ETags %s and %s of one content, %s of another", one.ETag, same.ETag, two.ETag)
	}
	return nil
}

func notByReference(ctx context.Context, e *BlobsEnv) error {
	data := []byte("before")
	if _, err := e.A.Put(ctx, e.key("x"), data, port.Condition{}); err != nil {
		return err
	}
	copy(data, "after!")
	return e.holds(ctx, "x", "before")
}

func emptyObject(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.A.Put(ctx, e.key("x"), nil, port.Condition{IfAbsent: true}); err != nil {
		return err
	}
	if data, err := e.B.GetRange(ctx, e.key("x"), 0, 1); err != nil || len(data) != 0 {
		return fmt.Errorf("range: %q, %w", data, err)
	}
	return e.holds(ctx, "x", "")
}

func ranges(ctx context.Context, e *BlobsEnv) error {
	const data = "0123456789"
	if _, err := e.put(ctx, "x", data); err != nil {
		return err
	}
	for _, c := range []struct {
		off, length int64
		want        string
	}{{0, 1, "0"}, {0, 10, data}, {3, 4, "3456"}, {9, 1, "9"}, {8, 100, "89"}, {10, 1, ""}, {500, 1, ""}, {2, 1 << 62, "23456789"}} {
		got, err := e.B.GetRange(ctx, e.key("x"), c.off, c.length)
		if err != nil || string(got) != c.want {
			return fmt.Errorf("%d bytes from %d: %q, %w; expected %q", c.length, c.off, got, err, c.want)
		}
	}
	for _, c := range [][2]int64{{-1, 5}, {0, 0}, {0, -1}} {
		_, err := e.B.GetRange(ctx, e.key("x"), c[0], c[1])
		if err := refused(fmt.Sprintf("%d bytes from %d", c[1], c[0]), err, nil); err != nil {
			return err
		}
	}
	return nil
}

func putIfAbsent(ctx context.Context, e *BlobsEnv) error {
	absent := port.Condition{IfAbsent: true}
	if _, err := e.A.Put(ctx, e.key("x"), []byte("first"), absent); err != nil {
		return err
	}
	_, err := e.B.Put(ctx, e.key("x"), []byte("second"), absent)
	if err := errors.Join(certainly("second put", err, port.ErrPrecondition), e.holds(ctx, "x", "first")); err != nil {
		return err
	}
	if err := e.B.Delete(ctx, e.key("x")); err != nil {
		return err
	}
	if _, err := e.B.Put(ctx, e.key("x"), []byte("third"), absent); err != nil {
		return fmt.Errorf("after a delete: %w", err)
	}
	return e.holds(ctx, "x", "third")
}

func putIfMatch(ctx context.Context, e *BlobsEnv) error {
	one, err := e.put(ctx, "x", "one")
	if err != nil {
		return err
	}
	two, err := e.B.Put(ctx, e.key("x"), []byte("two"), port.Condition{IfMatch: one.ETag})
	if err != nil {
		return fmt.Errorf("with the right ETag: %w", err)
	}
	_, err = e.A.Put(ctx, e.key("x"), []byte("lost"), port.Condition{IfMatch: one.ETag})
	if err := errors.Join(certainly("put with an old ETag", err, port.ErrPrecondition), e.holds(ctx, "x", "two")); err != nil {
		return err
	}
	_, err = e.A.Put(ctx, e.key("missing"), []byte("lost"), port.Condition{IfMatch: two.ETag})
	return errors.Join(certainly("put over nothing", err, port.ErrNoBlob), e.absent(ctx, "missing"))
}

// each runs f as several tasks and waits for all.
func (e *BlobsEnv) each(ctx context.Context, n int, f func(ctx context.Context, i int, c port.Blobs) error) error {
	var errs []error
	done := rt.NewQueue[error](e.Runtime, 0)
	for i := range n {
		c := e.A
		if i%2 == 1 {
			c = e.B
		}
		e.Runtime.Go("each", func(ctx context.Context) { done.TryPush(f(ctx, i, c)) })
	}
	for range n {
		err, waited := done.Pop(ctx)
		errs = append(errs, err, waited)
	}
	return errors.Join(errs...)
}

func conditionalRace(ctx context.Context, e *BlobsEnv) error {
	for round := range 5 {
		name := fmt.Sprint("race", round)
		winners := rt.NewQueue[string](e.Runtime, 0)
		if err := e.each(ctx, 6, func(ctx context.Context, i int, c port.Blobs) error {
			mine := fmt.Sprint("writer", i)
			for {
				_, err := c.Put(ctx, e.key(name), []byte(mine), port.Condition{IfAbsent: true})
				switch {
				case err == nil:
					winners.TryPush(mine)
					return nil
				case errors.Is(err, port.ErrSlowDown): // AWS answers so when two are under way
				default:
					return certainly("put", err, port.ErrPrecondition)
				}
			}
		}); err != nil {
			return err
		}
		winner, _ := winners.TryPop()
		if winners.Len() > 0 {
			return fmt.Errorf("round %d: more than one won", round)
		}
		if err := e.holds(ctx, name, winner); err != nil {
			return err
		}
	}
	return nil
}

func swap(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.put(ctx, "counter", ""); err != nil {
		return err
	}
	if err := e.each(ctx, 4, func(ctx context.Context, _ int, c port.Blobs) error {
		for done := 0; done < 5; {
			data, info, err := c.Get(ctx, e.key("counter"))
			if err != nil {
				return err
			}
			_, err = c.Put(ctx, e.key("counter"), append(data, 'x'), port.Condition{IfMatch: info.ETag})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, port.ErrPrecondition) && !errors.Is(err, port.ErrSlowDown):
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return e.holds(ctx, "counter", "xxxxxxxxxxxxxxxxxxxx")
}

func list(ctx context.Context, e *BlobsEnv) error {
	names := []string{"b", "a/2", "a/10", "a-", "A", "a/1/x", "ab", "ä", "~"}
	for i, name := range names {
		if _, err := e.put(ctx, name, name); err != nil {
			return err
		}
		page, more, err := e.B.List(ctx, e.Prefix, "", 100)
		if err != nil || more || len(page) != i+1 {
			return fmt.Errorf("after %d puts: %d objects, %v, %w", i+1, len(page), more, err)
		}
	}
	for _, prefix := range []string{"", "a", "a/", "a/1", "zzz"} {
		var want, got []string
		for _, name := range names {
			if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				want = append(want, e.key(name))
			}
		}
		slices.Sort(want) // by bytes
		page, _, err := e.B.List(ctx, e.key(prefix), "", 100)
		if err != nil {
			return err
		}
		for _, o := range page {
			got = append(got, o.Key)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("list %q: %q, expected %q", prefix, got, want)
		}
	}
	return nil
}

func listPages(ctx context.Context, e *BlobsEnv) error {
	var want []string
	for i := range 10 {
		name := fmt.Sprintf("%02d", i)
		if _, err := e.put(ctx, name, ""); err != nil {
			return err
		}
		want = append(want, e.key(name))
	}
	for limit := 1; limit <= 11; limit++ {
		var got []string
		pages := 0
		for after, more := "", true; more; pages++ {
			var page []port.BlobInfo
			var err error
			if page, more, err = e.B.List(ctx, e.Prefix, after, limit); err != nil {
				return err
			}
			if len(page) > limit || len(page) == 0 {
				return fmt.Errorf("a page of %d objects, at most %d were asked for", len(page), limit)
			}
			for _, o := range page {
				got = append(got, o.Key)
			}
			after = got[len(got)-1]
		}
		if !slices.Equal(got, want) || pages != (10+limit-1)/limit {
			return fmt.Errorf("in %d pages of %d: %q, expected %q", pages, limit, got, want)
		}
	}
	page, more, err := e.B.List(ctx, e.Prefix, e.key("055"), 2) // after a key that is not there
	if err != nil || !more || len(page) != 2 || page[0].Key != e.key("06") {
		return fmt.Errorf("after 055: %v, %v, %w", page, more, err)
	}
	_, _, err = e.B.List(ctx, e.Prefix, "", 0)
	return refused("list with limit 0", err, nil)
}

func deleted(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.put(ctx, "x", "x"); err != nil {
		return err
	}
	for range 2 { // the second time nothing is there
		if err := e.A.Delete(ctx, e.key("x")); err != nil {
			return err
		}
	}
	page, _, err := e.B.List(ctx, e.Prefix, "", 10)
	if err != nil || len(page) > 0 {
		return fmt.Errorf("listed after the delete: %v, %w", page, err)
	}
	return e.absent(ctx, "x")
}

func oddKeys(ctx context.Context, e *BlobsEnv) error {
	names := []string{"with space", "plus+", "percent%20", "quote\"'", "ünïcode-🦡", "a=b&c=d", "(x)[y]{z}", "colon:semi;comma,", "hash#quest?", "dots...x"}
	for _, name := range names {
		if _, err := e.put(ctx, name, name); err != nil {
			return fmt.Errorf("put %q: %w", name, err)
		}
		if err := e.holds(ctx, name, name); err != nil {
			return err
		}
	}
	page, _, err := e.B.List(ctx, e.Prefix, "", 100)
	if err != nil || len(page) != len(names) {
		return fmt.Errorf("%d objects are listed, expected %d: %w", len(page), len(names), err)
	}
	for _, o := range page {
		if !slices.Contains(names, o.Key[len(e.Prefix):]) {
			return fmt.Errorf("listed as %q", o.Key)
		}
	}
	return nil
}
