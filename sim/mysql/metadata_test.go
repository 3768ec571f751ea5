package mysql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
)

// act is one operation on the metadata store. A and B choose what it is about and what it says.
type act struct {
	Kind string
	A, B int
}

// defined is a definition in the reference.
type defined struct {
	name    named
	body    string
	version int64
	counts  map[int64][2]int64
	windows map[int64]string // what is recorded of each
	due     map[int64]bool
}

// tables is the reference: what should be committed.
type tables struct {
	datasets map[string]int64 // IDs by slug
	defs     map[int64]*defined
	progress map[int32]int64
	epoch    int64
}

func (s *tables) clone() *tables {
	c := &tables{datasets: maps.Clone(s.datasets), defs: map[int64]*defined{}, progress: maps.Clone(s.progress), epoch: s.epoch}
	for id, d := range s.defs {
		e := *d
		e.counts, e.windows, e.due = maps.Clone(d.counts), maps.Clone(d.windows), maps.Clone(d.due)
		c.defs[id] = &e
	}
	return c
}

func (s *tables) named(n named) int64 {
	for id, d := range s.defs {
		if d.name == n {
			return id
		}
	}
	return 0
}

// String is what dump reads from the store.
func (s *tables) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d progress %v\n", s.epoch, s.progress)
	var undelivered []port.Place
	for _, id := range slices.Sorted(maps.Keys(s.defs)) {
		d := s.defs[id]
		fmt.Fprintf(&b, "%d %v %s v%d %v %v\n", id, d.name, d.body, d.version, d.counts, d.windows)
		for w := range d.due {
			undelivered = append(undelivered, port.Place{Window: w, Alert: id})
		}
	}
	slices.SortFunc(undelivered, port.Place.Compare)
	fmt.Fprint(&b, undelivered)
	return b.String()
}

// dump reads everything, with no faults, and as often as it takes the server to come back.
func (m *machine) dump(ctx context.Context) (*tables, string) {
	m.w.srv.SetErrors(0)
	for {
		if t, text, err := m.read(ctx); err == nil {
			return t, text
		}
		m.w.sleep(ctx, 100*time.Millisecond)
	}
}

func (m *machine) read(ctx context.Context) (*tables, string, error) {
	c := m.w.d
	t := &tables{datasets: map[string]int64{}, defs: map[int64]*defined{}, progress: map[int32]int64{}}
	all, err1 := c.DefinitionsOf(ctx, 0)
	rows, err2 := c.ProgressOf(ctx, "c", "t")
	epoch, _, err3 := c.Epoch(ctx)
	datasets, err4 := c.Datasets(ctx, m.team)
	due, err5 := c.Undelivered(ctx, port.Place{}, 1000)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, "", err
	}
	t.epoch = epoch
	for _, ds := range datasets {
		t.datasets[ds.Slug] = ds.ID
		list, err := c.DefinitionsOf(ctx, ds.ID)
		if err != nil {
			return nil, "", err
		}
		among := slices.DeleteFunc(slices.Clone(all), func(d port.Definition) bool { return d.Dataset != ds.ID })
		if fmt.Sprint(list) != fmt.Sprint(among) {
			return t, fmt.Sprintf("dataset %d has %v, of all there are %v", ds.ID, list, among), nil
		}
	}
	for _, p := range rows {
		t.progress[p.Partition] = p.Next
	}
	for _, def := range all {
		d := &defined{name: nameOf(&def), body: string(def.Body), version: def.Version, counts: map[int64][2]int64{}, windows: map[int64]string{}, due: map[int64]bool{}}
		t.defs[def.ID] = d
		counts, err1 := c.SLOCounts(ctx, def.ID, 0, 1<<40)
		evaluations, err2 := c.EvaluationsOf(ctx, def.ID, 0, 1<<40)
		if err := errors.Join(err1, err2); err != nil {
			return nil, "", err
		}
		for _, n := range counts {
			d.counts[n.Minute] = [2]int64{n.Good, n.Total}
		}
		for _, e := range evaluations {
			d.windows[e.Window] = e.By
			if (e.Fires || e.Resolves) && e.Delivered.IsZero() {
				d.due[e.Window] = true
			}
		}
	}
	text := t.String()
	text = text[:strings.LastIndex(text, "\n")+1]
	var order []port.Place
	for _, e := range due {
		order = append(order, e.Place())
	}
	return t, text + fmt.Sprint(order), nil
}

// machine drives the store and the reference.
type machine struct {
	w    *world
	team int64
	rate float64
	now  *tables
	last int64 // the highest ID of a definition
	turn int
}

// step does one operation on both, and compares.
func (m *machine) step(ctx context.Context, a act) error {
	m.turn++
	after := m.now.clone()
	m.w.srv.SetErrors(m.rate)
	expected, err := m.do(ctx, a, after)
	got, text := m.dump(ctx)
	// Numbers that the database gives are learned, and must be new.
	for _, id := range slices.Sorted(maps.Keys(got.defs)) {
		if m.now.defs[id] == nil && id <= m.last {
			return fmt.Errorf("ID %d was given again, %d was given before", id, m.last)
		}
		m.last = max(m.last, id)
	}
	if d := after.defs[0]; d != nil {
		delete(after.defs, 0)
		if id := got.named(d.name); id != 0 {
			after.defs[id] = d
		}
	}
	was, did := text == m.now.String(), text == after.String()
	switch {
	case err == nil && expected != nil:
		return fmt.Errorf("it succeeded, expected %w", expected)
	case err == nil && !did:
		return fmt.Errorf("it succeeded; there is\n%s\nexpected\n%s", text, after)
	case errors.Is(err, port.ErrUnknown) && !was && !did:
		return fmt.Errorf("%w; there is\n%s\nexpected\n%s\nor\n%s", err, text, m.now, after)
	case err == nil, errors.Is(err, port.ErrUnknown):
	case !was:
		return fmt.Errorf("%w; there is\n%s\nexpected\n%s", err, text, m.now)
	case !errors.Is(err, port.ErrRefused) && !errors.Is(err, expected):
		return fmt.Errorf("%w, expected %w", err, expected)
	case expected == nil && m.rate == 0 && a.Kind != "crash":
		return fmt.Errorf("%w, although there are no faults", err)
	}
	m.now = got
	return nil
}

// pick chooses a definition, sometimes one that is none.
func (m *machine) pick(i int) int64 {
	ids := slices.Sorted(maps.Keys(m.now.defs))
	ids = append(ids, 1<<30)
	return ids[i%len(ids)]
}

// do performs an operation, and tells the reference; expected is the error that it must have if nothing is in its way.
func (m *machine) do(ctx context.Context, a act, s *tables) (expected, err error) {
	c := m.w.c
	name := []string{"a", "b", "c"}[a.B%3]
	body := []string{"x", "y"}[a.B%2]
	id := m.pick(a.A)
	d := s.defs[id]
	minute, window := int64(a.B%4)*60, int64(a.B%4)
	switch a.Kind {
	case "define":
		slug := []string{"one", "two", "", "gone"}[a.A%4]
		n := named{team: m.team, dataset: s.datasets[slug], kind: []port.DefinitionKind{port.KindSLO, port.KindTrigger}[a.A/4%2], name: name}
		if slug == "gone" || slug != "" && n.dataset == 0 {
			n.dataset, expected = 1<<30, port.ErrNotFound
		} else if there := s.named(n); there == 0 {
			s.defs[0] = &defined{name: n, body: body, version: 1}
		} else if s.defs[there].body != body {
			expected = port.ErrNameTaken
		}
		_, err = c.Define(ctx, port.Definition{Team: n.team, Dataset: n.dataset, Kind: n.kind, Name: n.name, Body: []byte(body)})
	case "redefine":
		if d == nil {
			expected = port.ErrNotFound
		} else if to := (named{d.name.team, d.name.dataset, d.name.kind, name}); s.named(to) != 0 && s.named(to) != id {
			expected = port.ErrNameTaken
		} else if d.name != to || d.body != body {
			d.name, d.body = to, body
			d.version++
		}
		_, err = c.Redefine(ctx, port.Definition{ID: id, Name: name, Body: []byte(body)})
	case "undefine":
		if delete(s.defs, id); d == nil {
			expected = port.ErrNotFound
		}
		err = c.Undefine(ctx, id)
	case "advance":
		partition := int32(a.A % 2)
		from := s.progress[partition]
		step := port.Advance{Consumer: "c", Topic: "t", Partition: partition, From: from, To: from + int64(a.B), By: "n"}
		ids := slices.Compact([]int64{min(id, m.pick(a.A+1)), max(id, m.pick(a.A+1))})
		if a.A%5 == 4 {
			step.From, step.To, expected = from+1, from+int64(a.B)+1, port.ErrNotThere
		} else {
			s.progress[partition] = step.To
		}
		for i, slo := range ids {
			n := port.SLOCount{SLO: slo, Minute: minute, Good: min(int64(i), int64(a.B)), Total: int64(a.B)}
			if a.A%9 == 8 { // nearly full
				n.Total = port.MaxCount - n.Total
			}
			step.Counts = append(step.Counts, n)
			if d := s.defs[slo]; expected == nil && d != nil && d.name.kind == port.KindSLO {
				if old := d.counts[minute]; old[1]+n.Total <= port.MaxCount {
					d.counts[minute] = [2]int64{old[0] + n.Good, old[1] + n.Total}
				}
			}
		}
		err = c.Advance(ctx, step)
	case "record":
		e := port.Evaluation{Alert: id, Window: window, Epoch: s.epoch + int64(a.A%3) - 1, By: fmt.Sprint("n", m.turn), Fires: a.B%2 == 0, Resolves: a.B%5 == 0}
		switch {
		case e.Epoch < 0:
			expected = port.ErrRefused
		case e.Epoch < s.epoch:
			expected = port.ErrFenced
		case d == nil:
			expected = port.ErrNotFound
		default:
			s.epoch = e.Epoch
			if _, there := d.windows[window]; !there {
				d.windows[window] = e.By
				if e.Fires || e.Resolves {
					d.due[window] = true
				}
			}
		}
		_, _, err = c.Record(ctx, e)
	case "lead":
		epoch := s.epoch + int64(a.A%3) - 1
		if epoch < 0 {
			expected = port.ErrRefused
		} else if epoch < s.epoch {
			expected = port.ErrFenced
		}
		s.epoch = max(s.epoch, epoch)
		err = c.Lead(ctx, epoch, "n")
	case "delivered":
		if d == nil || d.windows[window] == "" {
			expected = port.ErrNotFound
		} else {
			delete(d.due, window)
		}
		err = c.Delivered(ctx, id, window, time.Unix(1, 0))
	case "delete":
		slug := []string{"one", "two"}[a.A%2]
		ds := s.datasets[slug]
		if ds == 0 {
			ds, expected = 1<<30, port.ErrNotFound
		}
		delete(s.datasets, slug)
		maps.DeleteFunc(s.defs, func(_ int64, d *defined) bool { return d.name.dataset == ds })
		err = c.DeleteDataset(ctx, ds)
	case "create":
		_, _, err = c.CreateDataset(ctx, port.NewDataset{Team: m.team, Name: []string{"one", "two"}[a.A%2], Spread: 1, Of: 1})
	case "crash":
		m.w.srv.Kill()
		m.w.srv.Start()
	}
	return expected, err
}

// TestMetadataAgainstTables: random operations with lost answers, refusals and restarts, against tables that are plain
// maps. A certain outcome is what is there; an unknown one has happened altogether or not at all.
func TestMetadataAgainstTables(t *testing.T) {
	t.Parallel()
	one := rapid.Custom(func(t *rapid.T) act {
		return act{
			Kind: rapid.SampledFrom([]string{"define", "define", "define", "redefine", "undefine", "advance", "advance", "advance", "record", "record", "record",
				"lead", "delivered", "delivered", "delete", "create", "create", "crash"}).Draw(t, "kind"),
			A: rapid.IntRange(0, 60).Draw(t, "a"), B: rapid.IntRange(0, 60).Draw(t, "b"),
		}
	})
	begin := []act{{"create", 0, 0}, {"create", 1, 0}} // so that there is something to act upon
	for i := range 7 {
		begin = append(begin, act{"define", i, i})
	}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		acts := rapid.SliceOfN(one, 1, 50).Draw(rt, "acts")
		rate := rapid.SampledFrom([]float64{0, 0.2}).Draw(rt, "errors")
		w := newWorld(t, seed, Config{})
		var failed error
		w.run(func(ctx context.Context) {
			m := &machine{w: w, team: w.team(ctx).ID, rate: rate}
			m.now, _ = m.dump(ctx)
			for i, a := range slices.Concat(begin, acts) {
				if failed = m.step(ctx, a); failed != nil {
					failed = fmt.Errorf("operation %d, %+v: %w", i, a, failed)
					return
				}
			}
			if rate == 0 && len(w.srv.run.locks) != 0 {
				failed = fmt.Errorf("%d locks are left", len(w.srv.run.locks))
			}
		})
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}
