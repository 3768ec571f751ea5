package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Counts is the table of the Counts port. Sources: its comments, and MySQL's Reference Manual (locking reads, INSERT ON
// DUPLICATE KEY UPDATE).
func Counts() []CatalogRow {
	return []CatalogRow{
		{"progress is compared and set", progressCompared},
		{"a step from where it is to where it is marks the time", progressMarked},
		{"counts that come along with a mark are added", countsWithMark},
		{"counts and progress move together or not at all", bothOrNothing},
		{"counts are added to what is there", countsAdded},
		{"a minute that is full takes no more, and all else happens", countsFull},
		{"counts are listed by minute, the last excluded", countsListed},
		{"progress is listed by partition, of one consumer and topic", progressListed},
		{"counts of what is no SLO are dropped, and all else happens", countsDropped},
		{"many counts are one step", manyCounts},
		{"a step that makes no sense is refused", badSteps},
		{"of two who step from one place one does", advanceRace},
		{"two who count the same minutes lose nothing", countRace},
		{"a step beside a deletion happens", advanceBesideUndefine},
	}
}

// step is a step of the row's consumer at partition 0 of the row's topic.
func (e *CatalogEnv) step(from, to int64, counts ...port.SLOCount) port.Advance {
	return port.Advance{Consumer: e.Name, Topic: e.Name, Partition: 0, From: from, To: to, By: "node", Counts: counts}
}

// next is where the row's progress is.
func (e *CatalogEnv) next(ctx context.Context) (int64, error) {
	rows, err := e.B.ProgressOf(ctx, e.Name, e.Name)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].Next, nil
}

// tally checks where the progress is and what an SLO has counted.
func (e *CatalogEnv) tally(ctx context.Context, what string, next, slo int64, want ...port.SLOCount) error {
	at, err1 := e.next(ctx)
	counts, err2 := e.counted(ctx, slo)
	if at != next {
		err1 = errors.Join(err1, fmt.Errorf("%s: the progress is at %d, expected %d", what, at, next))
	}
	return errors.Join(err1, err2, alike(what, counts, append([]port.SLOCount{}, want...)))
}

func progressCompared(ctx context.Context, e *CatalogEnv) error {
	before := e.Runtime.Now()
	if err := errors.Join(
		certainly("from 5 without a row", e.A.Advance(ctx, e.step(5, 9)), port.ErrNotThere),
		e.A.Advance(ctx, e.step(0, 5)),
		certainly("from 0 again", e.B.Advance(ctx, e.step(0, 5)), port.ErrNotThere),
		certainly("from 4", e.B.Advance(ctx, e.step(4, 9)), port.ErrNotThere),
		certainly("from 6", e.B.Advance(ctx, e.step(6, 9)), port.ErrNotThere),
	); err != nil {
		return err
	}
	last := e.step(5, 1<<50)
	last.By = "another"
	if err := e.B.Advance(ctx, last); err != nil {
		return err
	}
	rows, err := e.A.ProgressOf(ctx, e.Name, e.Name)
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("%+v, %w", rows, err)
	}
	if d := rows[0].At.Sub(before); d < -time.Minute || d > time.Minute {
		return fmt.Errorf("marked at %v, expected about %v", rows[0].At, before)
	}
	return alike("progress", rows[0], port.Progress{Consumer: e.Name, Topic: e.Name, Next: 1 << 50, At: rows[0].At, By: "another"})
}

func progressMarked(ctx context.Context, e *CatalogEnv) error {
	var last time.Time
	for i, a := range []port.Advance{e.step(0, 0), e.step(0, 0), e.step(0, 7), e.step(7, 7), e.step(7, 7)} {
		a.By = fmt.Sprint("node", i)
		if err := e.A.Advance(ctx, a); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		rows, err := e.B.ProgressOf(ctx, e.Name, e.Name)
		if err != nil || len(rows) != 1 || rows[0].Next != a.To || rows[0].By != a.By || !rows[0].At.After(last) {
			return fmt.Errorf("step %d, after one at %v: %+v, %w", i, last, rows, err)
		}
		last = rows[0].At
		if err := e.Runtime.Sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return certainly("a mark elsewhere", e.A.Advance(ctx, e.step(8, 8)), port.ErrNotThere)
}

func countsWithMark(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	n := port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 1}
	if err := errors.Join(e.A.Advance(ctx, e.step(0, 0, n)), e.A.Advance(ctx, e.step(0, 0, n))); err != nil {
		return err
	}
	return e.tally(ctx, "after two marks", 0, d.ID, port.SLOCount{SLO: d.ID, Minute: 60, Good: 2, Total: 2})
}

func countsFull(ctx context.Context, e *CatalogEnv) error {
	_, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition { return []port.Definition{slo(ds, "full"), slo(ds, "other")} })
	if err != nil {
		return err
	}
	full, other := all[0].ID, all[1].ID
	next := int64(0)
	// Each step comes with counts of a neighbour, and of another minute.
	for _, n := range []port.SLOCount{
		{Good: 3, Total: port.MaxCount - 4},
		{Good: 5, Total: 5},             // one too many
		{Good: 0, Total: port.MaxCount}, // far too many
		{Good: 1, Total: 3},
		{Good: 1, Total: 2}, // one too many
		{Good: 1, Total: 1}, // it is full now
		{Good: 1, Total: 1},
		{Good: port.MaxCount, Total: port.MaxCount},
		{},
	} {
		n.SLO, n.Minute = full, 60
		if err := e.A.Advance(ctx, e.step(next, next+1, n, port.SLOCount{SLO: full, Minute: 120, Good: 1, Total: 2}, port.SLOCount{SLO: other, Minute: 60, Total: 1})); err != nil {
			return fmt.Errorf("%+v: %w", n, err)
		}
		next++
	}
	return errors.Join(
		e.tally(ctx, "the full one", next, full, port.SLOCount{SLO: full, Minute: 60, Good: 5, Total: port.MaxCount}, port.SLOCount{SLO: full, Minute: 120, Good: next, Total: 2 * next}),
		e.tally(ctx, "the other", next, other, port.SLOCount{SLO: other, Minute: 60, Total: next}))
}

func bothOrNothing(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	n := port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 3}
	advance := func(from int64) error { return e.A.Advance(ctx, e.step(from, from+10, n)) }
	if err := errors.Join(certainly("from 3", advance(3), port.ErrNotThere), advance(0), certainly("from 0 again", advance(0), port.ErrNotThere),
		certainly("from 9", advance(9), port.ErrNotThere), advance(10)); err != nil {
		return err
	}
	return e.tally(ctx, "afterwards", 20, d.ID, port.SLOCount{SLO: d.ID, Minute: 60, Good: 2, Total: 6})
}

func countsAdded(ctx context.Context, e *CatalogEnv) error {
	_, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition { return []port.Definition{slo(ds, "one"), slo(ds, "two")} })
	if err != nil {
		return err
	}
	a, b := all[0].ID, all[1].ID
	if err := errors.Join(
		e.A.Advance(ctx, e.step(0, 1, port.SLOCount{SLO: b, Minute: 120, Good: 1, Total: 2}, port.SLOCount{SLO: a, Minute: 120, Good: 3, Total: 4})),
		e.A.Advance(ctx, e.step(1, 2, port.SLOCount{SLO: b, Minute: 60, Good: 0, Total: 7}, port.SLOCount{SLO: b, Minute: 120, Good: 10, Total: 20})),
		e.A.Advance(ctx, e.step(2, 3)),
		e.A.Advance(ctx, e.step(3, 4, port.SLOCount{SLO: b, Minute: 120}, port.SLOCount{SLO: a, Minute: -60, Good: 1, Total: 1},
			port.SLOCount{SLO: a, Minute: 180, Good: 1 << 40, Total: 1 << 41})),
	); err != nil {
		return err
	}
	return errors.Join(
		e.tally(ctx, "one", 4, a, port.SLOCount{SLO: a, Minute: -60, Good: 1, Total: 1}, port.SLOCount{SLO: a, Minute: 120, Good: 3, Total: 4},
			port.SLOCount{SLO: a, Minute: 180, Good: 1 << 40, Total: 1 << 41}),
		e.tally(ctx, "two", 4, b, port.SLOCount{SLO: b, Minute: 60, Total: 7}, port.SLOCount{SLO: b, Minute: 120, Good: 11, Total: 22}))
}

func countsListed(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	var step, sorted []port.SLOCount
	for _, m := range []int64{600, 60, 6000, 120, 0} {
		step = append(step, port.SLOCount{SLO: d.ID, Minute: m, Good: m, Total: m + 1})
	}
	sorted = slices.Clone(step)
	slices.SortFunc(sorted, func(a, b port.SLOCount) int { return int(a.Minute - b.Minute) })
	given := slices.Clone(step)
	if err := e.A.Advance(ctx, e.step(0, 1, step...)); err != nil {
		return err
	}
	if !slices.Equal(step, given) {
		return errors.New("the caller's counts were changed")
	}
	for _, c := range []struct {
		from, to int64
		want     []port.SLOCount
	}{
		{0, 6001, sorted}, {0, 6000, sorted[:4]}, {1, 6000, sorted[1:4]}, {60, 120, sorted[1:2]}, {60, 121, sorted[1:3]},
		{61, 120, nil}, {120, 60, nil}, {60, 60, nil}, {-1 << 60, 1 << 60, sorted},
	} {
		got, err := e.B.SLOCounts(ctx, d.ID, c.from, c.to)
		if err := errors.Join(err, alike(fmt.Sprintf("from %d to %d", c.from, c.to), got, c.want)); err != nil {
			return err
		}
	}
	for _, nothing := range []int64{0, -1, 1 << 40} {
		got, err := e.B.SLOCounts(ctx, nothing, 0, 1<<40)
		if err := errors.Join(err, alike(fmt.Sprintf("of %d", nothing), got, []port.SLOCount{})); err != nil {
			return err
		}
	}
	return nil
}

func progressListed(ctx context.Context, e *CatalogEnv) error {
	var want []port.Progress
	for _, p := range []int32{3, 0, 1<<31 - 1, 10, 2} {
		a := e.step(0, int64(p)+1)
		a.Partition = p
		if err := e.A.Advance(ctx, a); err != nil {
			return err
		}
		want = append(want, port.Progress{Consumer: e.Name, Topic: e.Name, Partition: p, Next: int64(p) + 1, By: "node"})
	}
	for _, other := range [][2]string{{e.Name, e.Name + "2"}, {e.Name + "2", e.Name}, {e.Name, e.Name + " "}, {strings.ToUpper(e.Name), e.Name}} {
		a := e.step(0, 77)
		a.Consumer, a.Topic = other[0], other[1]
		if err := e.A.Advance(ctx, a); err != nil {
			return err
		}
	}
	slices.SortFunc(want, func(a, b port.Progress) int { return int(a.Partition) - int(b.Partition) })
	got, err := e.B.ProgressOf(ctx, e.Name, e.Name)
	if err != nil {
		return err
	}
	for i := range got {
		got[i].At = time.Time{}
	}
	none, err := e.B.ProgressOf(ctx, e.Name, "nothing")
	return errors.Join(err, alike("progress", got, want), alike("of another topic", none, []port.Progress{}))
}

func countsDropped(ctx context.Context, e *CatalogEnv) error {
	_, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition {
		return []port.Definition{slo(ds, "first"), slo(ds, "gone"), of(port.KindTrigger, slo(ds, "trigger")), slo(ds, "last")}
	})
	if err != nil {
		return err
	}
	var counts []port.SLOCount
	for _, d := range all {
		counts = append(counts, port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 2}, port.SLOCount{SLO: d.ID, Minute: 120, Good: 1, Total: 2})
	}
	counts = append(counts, port.SLOCount{SLO: 1 << 40, Minute: 60, Good: 1, Total: 1}, port.SLOCount{Minute: 60, Good: 1, Total: 1})
	if err := errors.Join(e.A.Undefine(ctx, all[1].ID), e.A.Advance(ctx, e.step(0, 8, counts...)), e.A.Advance(ctx, e.step(8, 9, counts[2]))); err != nil {
		return err
	}
	want := func(id int64) []port.SLOCount {
		return []port.SLOCount{{SLO: id, Minute: 60, Good: 1, Total: 2}, {SLO: id, Minute: 120, Good: 1, Total: 2}}
	}
	return errors.Join(
		e.tally(ctx, "first", 9, all[0].ID, want(all[0].ID)...), e.tally(ctx, "last", 9, all[3].ID, want(all[3].ID)...),
		e.tally(ctx, "gone", 9, all[1].ID), e.tally(ctx, "trigger", 9, all[2].ID), e.tally(ctx, "what never was", 9, 1<<40), e.tally(ctx, "0", 9, 0))
}

func manyCounts(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	const minutes = 2500
	var counts, twice []port.SLOCount
	for i := range int64(minutes) {
		counts = append(counts, port.SLOCount{SLO: d.ID, Minute: 60 * i, Good: i, Total: 2 * i})
		twice = append(twice, port.SLOCount{SLO: d.ID, Minute: 60 * i, Good: 2 * i, Total: 4 * i})
	}
	if err := errors.Join(e.A.Advance(ctx, e.step(0, 1, counts...)), e.A.Advance(ctx, e.step(1, 2, counts...))); err != nil {
		return err
	}
	got, err := e.counted(ctx, d.ID)
	if err != nil || !slices.Equal(got, twice) {
		return fmt.Errorf("%d minutes came back (%w), expected %d with their sums", len(got), err, minutes)
	}
	return nil
}

func badSteps(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	n := port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 1}
	partition, consumer, topic := e.step(0, 5, n), e.step(0, 5, n), e.step(0, 5, n)
	partition.Partition, consumer.Consumer, topic.Topic = -1, "", ""
	for _, a := range []port.Advance{
		e.step(5, 4, n), e.step(-1, 4, n), e.step(0, 5, n, n), e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 120}, n),
		e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 61, Total: 1}), e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 120, Good: -1}),
		e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 120, Total: -1}), e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 120, Good: 2, Total: 1}),
		e.step(0, 5, n, port.SLOCount{SLO: d.ID, Minute: 120, Total: port.MaxCount + 1}), partition, consumer, topic,
	} {
		if err := refused(fmt.Sprintf("%+v", a), e.A.Advance(ctx, a), nil); err != nil {
			return err
		}
	}
	return e.tally(ctx, "afterwards", 0, d.ID)
}

func advanceRace(ctx context.Context, e *CatalogEnv) error {
	_, d, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	const rounds = 30
	for i := range int64(rounds) {
		var counts []port.SLOCount // in every other round, so that nothing but the progress keeps them apart
		if i%2 == 0 {
			counts = append(counts, port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 1})
		}
		wins := rt.NewQueue[struct{}](e.Runtime, 0)
		if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			err := c.Advance(ctx, e.step(i, i+1, counts...))
			if err == nil {
				wins.TryPush(struct{}{})
				return nil
			}
			return certainly("the other", err, port.ErrNotThere)
		}); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if wins.Len() != 1 {
			return fmt.Errorf("round %d: %d have advanced", i, wins.Len())
		}
	}
	return e.tally(ctx, "afterwards", rounds, d.ID, port.SLOCount{SLO: d.ID, Minute: 60, Good: rounds / 2, Total: rounds / 2})
}

func countRace(ctx context.Context, e *CatalogEnv) error {
	_, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition { return []port.Definition{slo(ds, "one"), slo(ds, "two")} })
	if err != nil {
		return err
	}
	const steps = 15
	if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
		for i := range int64(steps) {
			a := e.step(i, i+1)
			for _, d := range all {
				for m := range int64(3) {
					a.Counts = append(a.Counts, port.SLOCount{SLO: d.ID, Minute: 60 * m, Good: 1, Total: 2})
				}
			}
			if c == e.B {
				a.Partition = 1
				slices.Reverse(a.Counts)
			}
			if err := c.Advance(ctx, a); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, d := range all {
		var want []port.SLOCount
		for m := range int64(3) {
			want = append(want, port.SLOCount{SLO: d.ID, Minute: 60 * m, Good: 2 * steps, Total: 4 * steps})
		}
		if err := e.tally(ctx, d.Name, steps, d.ID, want...); err != nil {
			return err
		}
	}
	return nil
}

func advanceBesideUndefine(ctx context.Context, e *CatalogEnv) error {
	ds, kept, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	const rounds = 15
	for i := range int64(rounds) {
		d, err := e.A.Define(ctx, slo(ds, fmt.Sprint("goes", i)))
		if err != nil {
			return err
		}
		if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			if c == e.B {
				return c.Undefine(ctx, d.ID)
			}
			return c.Advance(ctx, e.step(i, i+1, port.SLOCount{SLO: kept.ID, Minute: 60, Good: 1, Total: 1}, port.SLOCount{SLO: d.ID, Minute: 60, Good: 1, Total: 1}))
		}); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if err := e.tally(ctx, "the deleted one", i+1, d.ID); err != nil {
			return err
		}
	}
	return e.tally(ctx, "the other", rounds, kept.ID, port.SLOCount{SLO: kept.ID, Minute: 60, Good: rounds, Total: rounds})
}
