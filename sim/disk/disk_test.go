package disk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/sim/disk"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// outcomes collects what a scenario ends with over many seeds.
func outcomes(t *testing.T, cfg disk.Config, f func(ctx context.Context, e env) string) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(300) {
		var twice [2]string
		for i := range twice {
			inSeed(t, seed, cfg, func(ctx context.Context, e env) { twice[i] = f(ctx, e) })
		}
		if twice[0] != twice[1] {
			t.Errorf("seed %d ends in %q and in %q", seed, twice[0], twice[1])
		}
		seen[twice[0]] = true
	}
	var list []string
	for o := range seen {
		list = append(list, o)
	}
	slices.Sort(list)
	return list
}

// all returns names and contents.
func (e env) all(t *testing.T, ctx context.Context) string {
	t.Helper()
	d := e.d.Mount(e.p)
	names, err := d.List(ctx)
	ok(t, err)
	var files []string
	for _, name := range names {
		files = append(files, name+"="+content(t, ctx, d, name))
	}
	return strings.Join(files, " ")
}

func TestPowerLoss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		torn bool
		act  func(t *testing.T, ctx context.Context, e env)
		want []string // exactly what may be there afterwards, and each of it is seen
	}{
		{"what was not synced survives as a prefix of writes", false, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "S")
			ok(t, f.Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			ok(t, f.Append(ctx, []byte("12")))
			ok(t, f.Append(ctx, []byte("34")))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=S", "a=S12", "a=S1234"}},
		{"the last write that survives may be torn", true, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "S")
			ok(t, f.Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			ok(t, f.Append(ctx, []byte("12")))
			ok(t, f.Append(ctx, []byte("34")))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=S", "a=S1", "a=S12", "a=S123", "a=S1234"}},
		{"a synced file without a synced name may be gone", false, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "S").Sync(ctx))
			e.d.Crash(disk.PowerLoss)
		}, []string{"", "a=S"}},
		{"a rename without sync of the file may leave the new name with less", false, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "old").Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			write(t, ctx, e.port, "a.tmp", "new")
			ok(t, e.port.Rename(ctx, "a.tmp", "a"))
			ok(t, e.port.SyncDir(ctx))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=", "a=new"}},
		{"the careful replacement is old or new", true, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "old").Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			ok(t, write(t, ctx, e.port, "a.tmp", "new").Sync(ctx))
			ok(t, e.port.Rename(ctx, "a.tmp", "a"))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=new", "a=old", "a=old a.tmp=new"}},
		{"a removal may come back until the directory is synced", false, func(t *testing.T, ctx context.Context, e env) {
			for _, name := range []string{"a", "b"} {
				ok(t, write(t, ctx, e.port, name, "x").Sync(ctx))
			}
			ok(t, e.port.SyncDir(ctx))
			ok(t, e.port.Remove(ctx, "a"))
			ok(t, e.port.SyncDir(ctx))
			ok(t, e.port.Remove(ctx, "b"))
			e.d.Crash(disk.PowerLoss)
		}, []string{"", "b=x"}},
		{"a truncation may be undone until it is synced", false, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "12345")
			ok(t, f.Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			ok(t, f.Truncate(ctx, 2))
			ok(t, f.Append(ctx, []byte("x")))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=12", "a=12345", "a=12x"}},
		{"re-creating a file may be undone until it is synced", false, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "old").Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			write(t, ctx, e.port, "a", "new")
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=", "a=new", "a=old"}},
		{"what is appended while the device syncs is not part of it", false, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "1")
			ok(t, e.port.SyncDir(ctx))
			e.p.After(e.s.Now()+time.Millisecond, func() {}) // keep time moving
			e.p.Go("appender", func(ctx context.Context) {
				_ = e.p.Sleep(ctx, time.Millisecond)
				ok(t, f.Append(ctx, []byte("2")))
			})
			ok(t, f.Sync(ctx))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a=1", "a=12"}},
		{"power lost during a sync: it may have been done or not, and is not reported as done", false, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "1")
			ok(t, e.port.SyncDir(ctx))
			e.s.After(time.Millisecond, func() { e.d.Crash(disk.PowerLoss) })
			fails(t, f.Sync(ctx), disk.ErrPowerLost)
			fails(t, f.Append(ctx, []byte("2")), disk.ErrPowerLost)
		}, []string{"a=", "a=1"}},
		{"two directory syncs under way at a time", false, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "").Close())
			e.p.Go("other", func(ctx context.Context) {
				ok(t, e.p.Sleep(ctx, time.Millisecond))
				ok(t, write(t, ctx, e.port, "b", "").Close())
				ok(t, e.port.SyncDir(ctx))
				e.d.Crash(disk.PowerLoss)
			})
			ok(t, e.port.SyncDir(ctx))
			ok(t, e.p.Sleep(ctx, time.Second))
		}, []string{"a= b="}},
		{"twice", true, func(t *testing.T, ctx context.Context, e env) {
			f := write(t, ctx, e.port, "a", "1")
			ok(t, e.port.SyncDir(ctx))
			ok(t, f.Append(ctx, []byte("2")))
			e.d.Crash(disk.PowerLoss)
			e.d.Crash(disk.PowerLoss) // what survived once is on the device
			g, err := e.port.Open(ctx, "a")
			ok(t, err)
			ok(t, g.Truncate(ctx, 0))
			ok(t, g.Sync(ctx))
			e.d.Crash(disk.PowerLoss)
		}, []string{"a="}},
		{"a process crash loses nothing", true, func(t *testing.T, ctx context.Context, e env) {
			write(t, ctx, e.port, "a", "1")
			e.d.Crash(disk.ProcessCrash)
		}, []string{"a=1"}},
		{"an empty replacement", true, func(t *testing.T, ctx context.Context, e env) {
			ok(t, write(t, ctx, e.port, "a", "1").Sync(ctx))
			ok(t, e.port.SyncDir(ctx))
			e.d.Wipe()
			if e.d.Used() != 0 {
				t.Errorf("%d bytes are used on an empty disk", e.d.Used())
			}
		}, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := outcomes(t, disk.Config{SyncLatency: 5 * time.Millisecond, TornWrites: c.torn}, func(ctx context.Context, e env) string {
				c.act(t, ctx, e)
				return e.all(t, ctx)
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("outcomes are %q, expected %q", got, c.want)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	inTask(t, disk.Config{Capacity: 10}, func(ctx context.Context, e env) {
		f := write(t, ctx, e.port, "a", "12345678")
		fails(t, f.Append(ctx, []byte("abcd")), port.ErrDiskFull)
		if got := e.all(t, ctx); got != "a=12345678ab" {
			t.Errorf("a prefix should be there: %q", got)
		}
		fails(t, f.Append(ctx, []byte("x")), port.ErrDiskFull)
		ok(t, f.Truncate(ctx, 4))
		ok(t, f.Append(ctx, []byte("5")))
		ok(t, e.port.Remove(ctx, "a"))
		if e.d.Used() != 0 {
			t.Errorf("%d bytes are used", e.d.Used())
		}
		ok(t, write(t, ctx, e.port, "b", "0123456789").Close())
		e.d.SetCapacity(5)
		g := write(t, ctx, e.port, "b", "")
		ok(t, g.Append(ctx, []byte("01234")))
		fails(t, g.Append(ctx, []byte("5")), port.ErrDiskFull)
		ok(t, write(t, ctx, e.port, "c", "").Close())
		ok(t, e.port.Rename(ctx, "c", "b"))
		ok(t, g.Truncate(ctx, 0)) // of a file without a name: takes and gives no space
		ok(t, g.Append(ctx, []byte("012")))
		if e.d.Used() != 0 {
			t.Errorf("%d bytes are used after replacing the only file", e.d.Used())
		}
		ok(t, write(t, ctx, e.port, "d", "0").Sync(ctx))
		ok(t, e.port.SyncDir(ctx))
		e.d.Crash(disk.PowerLoss)
		h, err := e.port.Open(ctx, "d")
		ok(t, err)
		ok(t, h.Append(ctx, []byte("123")))
		if e.d.Used() != 4 {
			t.Errorf("%d bytes are used after a loss of power, expected 4", e.d.Used())
		}
	})
}

func TestSyncTakesTheDevicesTime(t *testing.T) {
	t.Parallel()
	inTask(t, disk.Config{SyncLatency: 2 * time.Millisecond, BytesPerSecond: 1000}, func(ctx context.Context, e env) {
		f := write(t, ctx, e.port, "a", "0123456789")
		took := func(op func() error) time.Duration {
			begin := e.s.Now()
			ok(t, op())
			return e.s.Now() - begin
		}
		sync := func() error { return f.Sync(ctx) }
		if d := took(sync); d != 12*time.Millisecond {
			t.Errorf("10 bytes took %v", d)
		}
		if d := took(sync); d != 2*time.Millisecond {
			t.Errorf("nothing took %v", d)
		}
		e.d.SetSyncLatency(time.Second)
		e.p.Go("other", func(ctx context.Context) { ok(t, e.port.SyncDir(ctx)) })
		ok(t, e.p.Sleep(ctx, 500*time.Millisecond))
		if d := took(sync); d != 1500*time.Millisecond {
			t.Errorf("behind another sync it took %v", d)
		}
		one, cancel := e.p.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		fails(t, f.Sync(one), context.DeadlineExceeded)
	})
}

// TestDeadIncarnationHasNoEffect: a deferred write of a killed process comes to nothing, its sync under way is the
// device's business, and its successor sees what it had written.
func TestDeadIncarnationHasNoEffect(t *testing.T) {
	t.Parallel()
	s := sched.New(1)
	defer s.Close()
	d := disk.New(s, disk.Config{SyncLatency: time.Second})
	old := s.Process("p")
	mounted := d.Mount(old)
	deferred := 0
	old.Go("writer", func(ctx context.Context) {
		f := write(t, ctx, mounted, "a", "1")
		ok(t, mounted.SyncDir(ctx))
		for _, effect := range []func(){
			func() { _ = f.Append(ctx, []byte("ghost")) },
			func() { _ = f.Truncate(ctx, 0) },
			func() { _, _ = mounted.Create(ctx, "ghost") },
			func() { _ = mounted.Remove(ctx, "a") },
			func() { _ = mounted.Rename(ctx, "a", "ghost") },
		} {
			defer func() {
				deferred++
				effect()
				t.Error("a dead process's call returned")
			}()
		}
		_ = f.Sync(ctx)
		t.Error("a killed process went on")
	})
	s.After(1500*time.Millisecond, old.Kill)
	s.After(1600*time.Millisecond, func() {
		if f, err := mounted.Open(context.Background(), "a"); !errors.Is(err, rt.ErrKilled) {
			t.Errorf("a dead process opened %v, %v", f, err)
		}
	})
	s.After(3*time.Second, func() {
		d.Crash(disk.PowerLoss) // the sync was under way at the kill and has ended since
		p := s.Process("p")
		p.Go("reader", func(ctx context.Context) {
			if got := (env{s, p, d, d.Mount(p)}).all(t, ctx); got != "a=1" {
				t.Errorf("the disk holds %q", got)
			}
		})
	})
	if err := s.Run(0); err != nil {
		t.Error(err)
	}
	if deferred != 5 {
		t.Errorf("%d of 5 deferred calls ran", deferred)
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	inTask(t, disk.Config{}, func(ctx context.Context, e env) {
		ok(t, write(t, ctx, e.port, "a", "aaaa").Sync(ctx))
		ok(t, e.port.SyncDir(ctx))
		if e.d.Corrupt("a", 4) || e.d.Corrupt("a", -1) || e.d.Corrupt("b", 0) || !e.d.Corrupt("a", 2) {
			t.Error("Corrupt does not know what there is")
		}
		before := e.all(t, ctx)
		if before == "a=aaaa" || !strings.HasPrefix(before, "a=aa") || !strings.HasSuffix(before, "a") {
			t.Errorf("content is %q", before)
		}
		e.d.Crash(disk.PowerLoss)
		if after := e.all(t, ctx); after != before {
			t.Errorf("the medium healed: %q", after)
		}
	})
}

// TestDiskModel: under any sequence of operations and losses of power, what was synced is there, and what is there was
// written.
func TestDiskModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		torn := rapid.Bool().Draw(t, "torn")
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		type step struct {
			Kind     int
			Name, To string
			N        int
		}
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 7).Draw(t, "kind"), names.Draw(t, "name"), names.Draw(t, "to"), rapid.IntRange(0, 6).Draw(t, "n")}
		}), 1, 40).Draw(t, "steps")
		inSeed(t, seed, disk.Config{SyncLatency: time.Millisecond, TornWrites: torn}, func(ctx context.Context, e env) {
			files := map[string]*modelFile{}
			possible := []map[string]*modelFile{{}} // directories that may be there after a loss of power
			record := func() {
				now := map[string]*modelFile{}
				for name, f := range files {
					now[name] = f
				}
				possible = append(possible, now)
			}
			letter := 0
			for _, st := range steps {
				m := files[st.Name]
				f, err := e.port.Open(ctx, st.Name)
				if (err == nil) != (m != nil) {
					t.Fatalf("open %s: %v, but in the model %v", st.Name, err, m)
				}
				switch {
				case st.Kind == 0:
					_, err := e.port.Create(ctx, st.Name)
					ok(t, err)
					if m == nil {
						files[st.Name] = &modelFile{states: []string{""}}
						record()
					} else {
						m.now = ""
						m.states = append(m.states, "")
					}
				case st.Kind == 7:
					e.d.Crash(disk.PowerLoss)
					files = adopt(t, ctx, e, possible, torn)
					possible = nil
					record()
				case st.Kind == 6:
					ok(t, e.port.SyncDir(ctx))
					possible = nil
					record()
				case m == nil:
				case st.Kind == 1 || st.Kind == 2:
					p := strings.Repeat(string(rune('a'+letter%26)), st.N)
					letter++
					ok(t, f.Append(ctx, []byte(p)))
					for i := range p {
						m.torn = append(m.torn, m.now+p[:i])
					}
					m.now += p
					m.states = append(m.states, m.now)
				case st.Kind == 3:
					ok(t, f.Sync(ctx))
					m.states, m.torn = []string{m.now}, nil
				case st.Kind == 4:
					size := min(st.N, len(m.now))
					ok(t, f.Truncate(ctx, int64(size)))
					m.now = m.now[:size]
					m.states = append(m.states, m.now)
				case st.Kind == 5:
					ok(t, e.port.Rename(ctx, st.Name, st.To))
					delete(files, st.Name)
					files[st.To] = m
					record()
				}
				for name, m := range files {
					if got := content(t, ctx, e.port, name); got != m.now {
						t.Fatalf("%s holds %q, the model %q", name, got, m.now)
					}
				}
			}
		})
	})
}

// modelFile is a file's content, and every content that it may have after a loss of power.
type modelFile struct {
	now    string
	states []string // synced, and after each write since
	torn   []string // only with torn writes
}

// adopt checks that the disk is in a possible state after a loss of power and makes it the model's.
func adopt(t *rapid.T, ctx context.Context, e env, possible []map[string]*modelFile, torn bool) map[string]*modelFile {
	names, err := e.port.List(ctx)
	ok(t, err)
	found := map[string]string{}
	for _, name := range names {
		found[name] = content(t, ctx, e.port, name)
	}
	var why []string
	for _, dir := range slices.Backward(possible) {
		problem := ""
		if len(dir) != len(found) {
			problem = fmt.Sprintf("%d names instead of %d", len(found), len(dir))
		}
		for name, m := range dir {
			got, there := found[name]
			if !there || !slices.Contains(m.states, got) && !(torn && slices.Contains(m.torn, got)) {
				problem += fmt.Sprintf("; %s=%q, %v, may be one of %q %q", name, got, there, m.states, m.torn)
			}
		}
		if problem == "" {
			files := map[string]*modelFile{}
			for name, got := range found {
				files[name] = &modelFile{now: got, states: []string{got}}
			}
			return files
		}
		why = append(why, problem)
	}
	t.Fatalf("after a loss of power the disk holds %q, which is in none of the possible states: %q", found, why)
	return nil
}
