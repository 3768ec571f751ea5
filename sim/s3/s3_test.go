package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// world is a server and client processes of one node.
type world struct {
	t   testing.TB
	sim *sched.Sim
	net *simnet.Network
	srv *Server
	p   *sched.Process
	c   port.Blobs
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, sim: sched.New(seed)}
	w.net = simnet.New(w.sim, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, BytesPerSecond: 1 << 30})
	w.srv = New(w.sim, w.net, Config{})
	w.srv.Start()
	node := w.net.AddNode("client", "")
	w.p = w.sim.Process("client")
	node.Start(w.p)
	w.c = w.srv.Client(node, w.p)
	return w
}

// run runs f as a task, once the server has booted.
func (w *world) run(f func(ctx context.Context)) {
	w.t.Helper()
	defer w.sim.Close()
	ended := false
	w.p.Foreground("test", func(ctx context.Context) {
		_ = w.p.Sleep(ctx, 2*time.Second)
		f(ctx)
		ended = true
		w.sim.Stop()
	})
	if err := w.sim.Run(time.Hour); err != nil {
		w.t.Fatal(err)
	}
	if !ended {
		w.t.Fatal("the test's task did not end within an hour of virtual time")
	}
}

// operation is one step of a random run.
type operation struct {
	Kind, Key, Value string
	OtherTag         bool
}

var operations = rapid.Custom(func(t *rapid.T) operation {
	return operation{
		Kind:     rapid.SampledFrom([]string{"put", "absent", "match", "delete", "get"}).Draw(t, "kind"),
		Key:      rapid.SampledFrom([]string{"a", "a/1", "a/2", "b"}).Draw(t, "key"),
		Value:    rapid.StringN(0, 8, -1).Draw(t, "value"),
		OtherTag: rapid.Bool().Draw(t, "other tag"),
	}
})

// TestAgainstAMap: random operations, with errors and without, against a plain map that follows the certain outcomes and
// resolves the unknown ones by reading.
func TestAgainstAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		ops := rapid.SliceOfN(operations, 0, 40).Draw(rt, "operations")
		rate := rapid.SampledFrom([]float64{0, 0.2}).Draw(rt, "errors")
		limit := rapid.IntRange(1, 3).Draw(rt, "page")
		w := newWorld(t, seed)
		var failed error
		w.run(func(ctx context.Context) {
			r := reference{w: w, data: map[string]string{}, tags: map[string]string{}}
			w.srv.SetErrors(rate)
			for i, op := range ops {
				if failed = r.step(ctx, op); failed != nil {
					failed = fmt.Errorf("operation %d, %+v: %w", i, op, failed)
					return
				}
			}
			w.srv.SetErrors(0)
			failed = r.lists(ctx, limit)
		})
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

// reference is what the store must hold.
type reference struct {
	w          *world
	data, tags map[string]string
}

func (r *reference) step(ctx context.Context, op operation) error {
	old, there := r.data[op.Key]
	var err error
	holds := true
	switch op.Kind {
	case "get":
		data, _, err := r.w.c.Get(ctx, op.Key)
		if err == nil && (!there || string(data) != old) || errors.Is(err, port.ErrNoBlob) && there {
			return fmt.Errorf("%q, %w; expected %q, %v", data, err, old, there)
		}
		return nil
	case "delete":
		err = r.w.c.Delete(ctx, op.Key)
	case "put":
		_, err = r.w.c.Put(ctx, op.Key, []byte(op.Value), port.Condition{})
	case "absent":
		holds = !there
		_, err = r.w.c.Put(ctx, op.Key, []byte(op.Value), port.Condition{IfAbsent: true})
	case "match":
		tag := r.tags[op.Key]
		if holds = there && !op.OtherTag; !holds {
			tag = "0123"
		}
		_, err = r.w.c.Put(ctx, op.Key, []byte(op.Value), port.Condition{IfMatch: tag})
	}
	return r.resolve(ctx, op, holds, err)
}

// resolve checks a write's outcome against what is there now, and follows it.
func (r *reference) resolve(ctx context.Context, op operation, holds bool, err error) error {
	old, was := r.data[op.Key]
	var data []byte
	var info port.BlobInfo
	var seen error
	for {
		if data, info, seen = r.w.c.Get(ctx, op.Key); seen == nil || errors.Is(seen, port.ErrNoBlob) {
			break
		}
	}
	is, puts := seen == nil, op.Kind != "delete"
	after := is == puts && (!puts || string(data) == op.Value)
	before := is == was && (!was || string(data) == old)
	certain := errors.Is(err, port.ErrPrecondition) || errors.Is(err, port.ErrNoBlob)
	switch {
	case err == nil && !(holds && after):
		return fmt.Errorf("succeeded (condition holds: %v) and left %q, %v", holds, data, is)
	case certain && (holds || !before):
		return fmt.Errorf("%w, although the condition holds: %v; left %q, %v", err, holds, data, is)
	case errors.Is(err, port.ErrRefused) && !before:
		return fmt.Errorf("refused (%w), and changed %q, %v to %q, %v", err, old, was, data, is)
	case err != nil && !before && !after:
		return fmt.Errorf("%w, and left %q, %v", err, data, is)
	}
	delete(r.data, op.Key)
	delete(r.tags, op.Key)
	if is {
		r.data[op.Key], r.tags[op.Key] = string(data), info.ETag
	}
	return nil
}

// lists compares every listing, page by page.
func (r *reference) lists(ctx context.Context, limit int) error {
	for _, prefix := range []string{"", "a", "a/", "b", "c"} {
		var keys, got []string
		for k := range r.data {
			if strings.HasPrefix(k, prefix) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for after, more := "", true; more; {
			var page []port.BlobInfo
			var err error
			if page, more, err = r.w.c.List(ctx, prefix, after, limit); err != nil {
				return err
			}
			for _, o := range page {
				got = append(got, o.Key)
				after = o.Key
				if o.Size != int64(len(r.data[o.Key])) {
					return fmt.Errorf("%s is listed with %d bytes, expected %d", o.Key, o.Size, len(r.data[o.Key]))
				}
			}
		}
		if !slices.Equal(got, keys) {
			return fmt.Errorf("list %q: %q, expected %q", prefix, got, keys)
		}
	}
	return nil
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.run(func(ctx context.Context) {
		put := func(key string) error {
			_, err := w.c.Put(ctx, key, []byte(key), port.Condition{})
			return err
		}
		if err := put("kept"); err != nil {
			t.Error(err)
		}
		w.srv.Kill()
		_ = w.p.Sleep(ctx, 10*time.Millisecond) // until the idle connection has learned of it
		if err := put("x"); !errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrUnknown) {
			t.Errorf("put to a server that is down: %v, expected it to be refused", err)
		}
		w.srv.Start()
		_ = w.p.Sleep(ctx, 2*time.Second)
		if data, _, err := w.c.Get(ctx, "kept"); err != nil || string(data) != "kept" {
			t.Errorf("after a restart: %q, %v", data, err)
		}
		w.srv.Pause()
		short, cancel := w.p.WithTimeout(ctx, time.Second)
		if _, err := w.c.Put(short, "late", []byte("late"), port.Condition{}); !errors.Is(err, port.ErrUnknown) {
			t.Errorf("put to a paused server: %v, expected an unknown outcome", err)
		}
		cancel()
		w.srv.Resume()
		_ = w.p.Sleep(ctx, time.Second)
		if data, _, err := w.c.Get(ctx, "late"); err != nil || string(data) != "late" {
			t.Errorf("what a paused server had received: %q, %v", data, err)
		}
		w.net.Cut("client", "s3")
		for range 2 { // first over the idle connection, then over a new one
			before := w.sim.Now()
			_, err := w.c.Put(ctx, "cut", nil, port.Condition{})
			if took := w.sim.Now() - before; err == nil || took < 3*time.Second || took > 11*time.Second {
				t.Errorf("put over a cut link: %v after %v", err, took)
			}
		}
		w.net.Heal("client", "s3")
		_ = w.p.Sleep(ctx, time.Minute)
		w.srv.SetSlow(300 * time.Millisecond)
		before := w.sim.Now()
		if err := put("slow"); err != nil || w.sim.Now()-before < 300*time.Millisecond {
			t.Errorf("a slow put took %v: %v", w.sim.Now()-before, err)
		}
		w.srv.SetSlow(0)
		w.srv.Wipe()
		w.srv.Start()
		_ = w.p.Sleep(ctx, 2*time.Second)
		if _, err := w.c.Head(ctx, "kept"); !errors.Is(err, port.ErrNoBlob) {
			t.Errorf("after a replacement: %v, expected nothing to be there", err)
		}
	})
}

// TestErrorsAreTold: at a given rate, writes fail about that often, half of them with an effect.
func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.run(func(ctx context.Context) {
		w.srv.SetErrors(0.5)
		unknown := 0
		const n = 400
		for i := range n {
			_, err := w.c.Put(ctx, fmt.Sprint(i), nil, port.Condition{IfAbsent: true})
			if errors.Is(err, port.ErrPrecondition) {
				t.Fatalf("put %d failed its own condition: %v", i, err)
			}
			if errors.Is(err, port.ErrUnknown) {
				unknown++
			}
		}
		effects, _ := w.srv.Objects()
		// Each attempt: 1/2 succeeds, 1/4 is refused and tried again up to twice, 1/4 is lost with its effect.
		if unknown < n/5 || unknown > n/2 || effects < n*9/10 {
			t.Errorf("of %d puts %d ended unknown and %d took effect", n, unknown, effects)
		}
	})
}

func TestUploads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.run(func(ctx context.Context) {
		up, err := w.c.BeginUpload(ctx, "big")
		if err != nil {
			t.Fatal(err)
		}
		var parts []port.Part
		var want []byte
		for i := range int32(3) {
			data := bytes.Repeat([]byte{byte(i)}, 5<<20)
			part, err := w.c.UploadPart(ctx, "big", up, i+1, data)
			if err != nil {
				t.Fatal(err)
			}
			parts, want = append(parts, part), append(want, data...)
		}
		if _, err := w.c.Head(ctx, "big"); !errors.Is(err, port.ErrNoBlob) {
			t.Errorf("before it is completed: %v", err)
		}
		if _, err := w.c.CompleteUpload(ctx, "big", up, []port.Part{parts[1], parts[0]}, port.Condition{}); !errors.Is(err, port.ErrRefused) {
			t.Errorf("parts out of order: %v", err)
		}
		if _, err := w.c.CompleteUpload(ctx, "big", up, parts, port.Condition{}); err != nil {
			t.Error(err)
		}
		if data, _, err := w.c.Get(ctx, "big"); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%d bytes, %v", len(data), err)
		}
		if _, err := w.c.CompleteUpload(ctx, "big", up, parts, port.Condition{}); !errors.Is(err, port.ErrNoBlob) {
			t.Errorf("completed twice: %v", err)
		}
	})
}

// TestSameSeedSameRun: the trace is a function of the seed.
func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	hash := func() uint64 {
		w := newWorld(t, 7)
		w.run(func(ctx context.Context) {
			w.srv.SetErrors(0.3)
			for i := range 100 {
				_, _ = w.c.Put(ctx, fmt.Sprint(i%10), []byte{byte(i)}, port.Condition{})
			}
		})
		return w.sim.Hash()
	}
	if a, b := hash(), hash(); a != b {
		t.Errorf("hashes %x and %x", a, b)
	}
}

// TestChanged: an object that a reader has changed is told.
func TestChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.run(func(ctx context.Context) {
		for _, key := range []string{"a", "b"} {
			if _, err := w.c.Put(ctx, key, []byte("data of "+key), port.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		data, _, err := w.c.Get(ctx, "b")
		if err != nil {
			t.Fatal(err)
		}
		if changed := w.srv.Changed(); len(changed) > 0 {
			t.Errorf("changed: %q before anything was", changed)
		}
		data[0]++
	})
	if changed := w.srv.Changed(); !slices.Equal(changed, []string{"b"}) {
		t.Errorf("changed: %q, expected b", changed)
	}
}
