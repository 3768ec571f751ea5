package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Evaluations is the table of the Evaluations port. Sources: its comments, MySQL's Reference Manual (locking reads), and
// F. Junqueira's note on fencing for the epoch.
func Evaluations() []CatalogRow {
	return []CatalogRow{
		{"an evaluation comes back as it was recorded", sameEvaluation},
		{"a window is recorded once, and the first stays", recordedOnce},
		{"a lower epoch is fenced", lowerEpoch},
		{"whoever leads under a lower epoch is fenced", leadFences},
		{"the highest epoch and who showed it first are known, also after a restart", epochKnown},
		{"a fenced or refused evaluation leaves nothing", fencedLeavesNothing},
		{"an evaluation needs its definition", recordNeedsDefinition},
		{"of two who record a window one does", recordRace},
		{"of two leaders the later one wins", leadRace},
		{"evaluations are listed by window, the last excluded", evaluationsListed},
		{"the last evaluation is of the latest window", lastEvaluation},
		{"what fires or resolves is undelivered, oldest window first", undelivered},
		{"what is delivered stays so", deliveredOnce},
		{"what makes no sense is not recorded", badEvaluations},
	}
}

// epoch is the highest epoch that was seen: rows share it.
func (e *CatalogEnv) epoch(ctx context.Context) (int64, error) {
	epoch, _, err := e.B.Epoch(ctx)
	return epoch, err
}

// due lists what of an alert is undelivered, in the port's order.
func (e *CatalogEnv) due(ctx context.Context, alerts ...int64) ([]port.Evaluation, error) {
	all, err := e.B.Undelivered(ctx, port.Place{}, 1<<30)
	return slices.DeleteFunc(all, func(n port.Evaluation) bool { return !slices.Contains(alerts, n.Alert) }), err
}

// alert makes a row's trigger and says which epoch is the highest.
func (e *CatalogEnv) alert(ctx context.Context) (id, epoch int64, err error) {
	_, d, err := e.one(ctx, port.KindTrigger)
	if err != nil {
		return 0, 0, err
	}
	epoch, err = e.epoch(ctx)
	return d.ID, epoch, err
}

// record records an evaluation that must be the first of its window.
func (e *CatalogEnv) record(ctx context.Context, all ...port.Evaluation) error {
	for _, n := range all {
		if _, recorded, err := e.A.Record(ctx, n); err != nil || !recorded {
			return fmt.Errorf("window %d of alert %d: recorded %v, %w", n.Window, n.Alert, recorded, err)
		}
	}
	return nil
}

func sameEvaluation(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	at := time.Unix(1_700_000_000, 123_456_789).UTC()
	notice := json.RawMessage(` {"name": "it's \"quoted\"\\", "value":1.0} ` + "\x00\xff")
	for i, n := range []port.Evaluation{
		{},
		{By: "node", At: at, Stale: true},
		{At: at, Triggered: true, Fires: true, Value: math.Nextafter(0.3, 1), Notice: notice},
		{At: at, Resolves: true, Value: -math.MaxFloat64, Notice: json.RawMessage("{}"), Delivered: at.Add(time.Nanosecond)},
		{By: "o'node", At: at, Triggered: true, Value: math.SmallestNonzeroFloat64, Notice: json.RawMessage{}},
		{Stale: true, Triggered: true, Fires: true, Resolves: true, Value: 1.0 / 3, Notice: bytes.Repeat([]byte("'"), 1000)},
		{Value: math.Copysign(0, -1), Delivered: at},
		{Value: 123456789.123456789, At: time.Unix(-1, 1).UTC()},
	} {
		n.Alert, n.Window, n.Epoch = id, int64(i)*1_000_000_007, epoch
		given := n
		given.At = given.At.In(time.FixedZone("elsewhere", 3600))
		if n.At.IsZero() {
			given.At = time.Time{}
		}
		n.Value += 0 // there is one zero
		stored, recorded, err := e.A.Record(ctx, given)
		if err != nil || !recorded {
			return fmt.Errorf("%d: recorded %v, %w", i, recorded, err)
		}
		again, recorded, err1 := e.B.Record(ctx, given)
		last, err2 := e.B.LastEvaluation(ctx, id)
		list, err3 := e.B.EvaluationsOf(ctx, id, n.Window, n.Window+1)
		if err := errors.Join(err1, err2, err3); err != nil || recorded || len(list) != 1 {
			return fmt.Errorf("%d: recorded again: %v; %d listed; %w", i, recorded, len(list), err)
		}
		for j, got := range []port.Evaluation{stored, again, last, list[0]} {
			if err := alike(fmt.Sprintf("%d, look-up %d", i, j), got, n); err != nil {
				return err
			}
			if got.At.IsZero() != n.At.IsZero() || got.Delivered.IsZero() != n.Delivered.IsZero() || math.Signbit(got.Value) != math.Signbit(n.Value) {
				return fmt.Errorf("%d, look-up %d: %+v", i, j, got)
			}
			clear(got.Notice) // it is the caller's own
		}
	}
	return nil
}

func recordedOnce(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	first := port.Evaluation{Alert: id, Window: 60, Epoch: epoch, By: "first", Triggered: true, Fires: true, Value: 1, Notice: json.RawMessage("first")}
	if err := e.record(ctx, first); err != nil {
		return err
	}
	for i, n := range []port.Evaluation{
		{Alert: id, Window: 60, Epoch: epoch, By: "second", Value: 2},
		{Alert: id, Window: 60, Epoch: epoch + 1, By: "third", Resolves: true, Notice: json.RawMessage("third")},
		first,
	} {
		got, recorded, err := e.B.Record(ctx, n)
		if i == 2 { // its leader was fenced by the one before
			if err := certainly("repeated after a later leader", err, port.ErrFenced); err != nil {
				return err
			}
			continue
		}
		if err != nil || recorded {
			return fmt.Errorf("%d: recorded %v, %w", i, recorded, err)
		}
		if err := alike(fmt.Sprint(i), got, first); err != nil {
			return err
		}
	}
	all, err := e.evaluated(ctx, id)
	if err := errors.Join(err, alike("afterwards", all, []port.Evaluation{first})); err != nil {
		return err
	}
	// Another window, and the same of another alert, are others.
	d, err := e.A.Definition(ctx, id)
	if err != nil {
		return err
	}
	other, err := e.A.Define(ctx, port.Definition{Team: d.Team, Kind: port.KindTrigger, Name: e.Name})
	if err != nil {
		return err
	}
	return e.record(ctx, port.Evaluation{Alert: id, Window: 61, Epoch: epoch + 1}, port.Evaluation{Alert: other.ID, Window: 60, Epoch: epoch + 1})
}

func lowerEpoch(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	at := func(window, above int64) port.Evaluation {
		return port.Evaluation{Alert: id, Window: window, Epoch: epoch + above, By: fmt.Sprint("node", above)}
	}
	if err := e.record(ctx, at(1, 5), at(2, 5), at(3, 7), at(4, 7)); err != nil {
		return err
	}
	for _, n := range []port.Evaluation{at(5, 6), at(5, 5), at(5, 0), at(1, 5), at(4, 6)} {
		_, recorded, err := e.B.Record(ctx, n)
		if err := certainly(fmt.Sprintf("%+v", n), err, port.ErrFenced); err != nil || recorded {
			return fmt.Errorf("recorded: %v; %w", recorded, err)
		}
	}
	got, by, err := e.A.Epoch(ctx)
	all, err2 := e.evaluated(ctx, id)
	if err := errors.Join(err, err2); err != nil || got != epoch+7 || by != "node7" || len(all) != 4 {
		return fmt.Errorf("afterwards epoch %d of %q and %d evaluations, %w; expected %d of node7 and 4", got, by, len(all), err, epoch+7)
	}
	return e.record(ctx, at(5, 7))
}

func leadFences(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	n := port.Evaluation{Alert: id, Window: 1, Epoch: epoch + 1, By: "old"}
	if err := errors.Join(e.A.Lead(ctx, epoch+1, "old"), e.record(ctx, n), e.B.Lead(ctx, epoch+2, "new"), e.B.Lead(ctx, epoch+2, "new")); err != nil {
		return err
	}
	n.Window = 2
	_, _, recordErr := e.A.Record(ctx, n)
	if err := errors.Join(certainly("the old leader's record", recordErr, port.ErrFenced), certainly("the old leader again", e.A.Lead(ctx, epoch+1, "old"), port.ErrFenced)); err != nil {
		return err
	}
	n.Epoch = epoch + 2
	return e.record(ctx, n)
}

func epochKnown(ctx context.Context, e *CatalogEnv) error {
	epoch, err := e.epoch(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(e.A.Lead(ctx, epoch+10, "first"), e.B.Lead(ctx, epoch+10, "second"), e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	got, by, err := e.B.Epoch(ctx)
	if err != nil || got != epoch+10 || by != "first" {
		return fmt.Errorf("epoch %d of %q, %w; expected %d of first", got, by, err, epoch+10)
	}
	return certainly("a lower one after a restart", e.A.Lead(ctx, epoch+9, "late"), port.ErrFenced)
}

func fencedLeavesNothing(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	if err := e.A.Lead(ctx, epoch+5, "leader"); err != nil {
		return err
	}
	_, _, fenced := e.A.Record(ctx, port.Evaluation{Alert: id, Window: 1, Epoch: epoch + 4, Fires: true})
	_, _, missing := e.A.Record(ctx, port.Evaluation{Alert: 1 << 40, Window: 1, Epoch: epoch + 9, By: "nobody"})
	_, _, bad := e.A.Record(ctx, port.Evaluation{Alert: id, Window: 1, Epoch: epoch + 9, Value: math.NaN()})
	if err := errors.Join(certainly("a lower epoch", fenced, port.ErrFenced), certainly("no definition", missing, port.ErrNotFound), refused("no number", bad, nil)); err != nil {
		return err
	}
	got, by, err1 := e.B.Epoch(ctx)
	all, err2 := e.evaluated(ctx, id)
	due, err3 := e.due(ctx, id)
	if err := errors.Join(err1, err2, err3); err != nil || got != epoch+5 || by != "leader" || len(all) != 0 || len(due) != 0 {
		return fmt.Errorf("epoch %d of %q, %v, %v, %w", got, by, all, due, err)
	}
	return nil
}

func recordNeedsDefinition(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(e.record(ctx, port.Evaluation{Alert: id, Window: 1, Epoch: epoch, Fires: true}), e.A.Undefine(ctx, id)); err != nil {
		return err
	}
	for _, window := range []int64{1, 2} {
		_, _, err := e.B.Record(ctx, port.Evaluation{Alert: id, Window: window, Epoch: epoch})
		if err := certainly(fmt.Sprintf("window %d of a deleted alert", window), err, port.ErrNotFound); err != nil {
			return err
		}
	}
	_, last := e.B.LastEvaluation(ctx, id)
	return errors.Join(certainly("its last", last, port.ErrNotFound), certainly("delivered", e.B.Delivered(ctx, id, 1, time.Unix(1, 0)), port.ErrNotFound))
}

func recordRace(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	const rounds = 15
	for i := range int64(rounds) {
		results := rt.NewQueue[port.Evaluation](e.Runtime, 0)
		wins := rt.NewQueue[string](e.Runtime, 0)
		if err := e.both(ctx, func(ctx context.Context, c port.Metadata) error {
			n := port.Evaluation{Alert: id, Window: i, Epoch: epoch, By: "a", Fires: true}
			if c == e.B {
				n.By = "b"
			}
			stored, recorded, err := c.Record(ctx, n)
			results.TryPush(stored)
			if recorded {
				wins.TryPush(n.By)
			}
			return err
		}); err != nil {
			return err
		}
		x, _ := results.TryPop()
		y, _ := results.TryPop()
		winner, _ := wins.TryPop()
		if wins.Len() != 0 || x.By != y.By || x.By != winner {
			return fmt.Errorf("window %d: %q and %q are stored, %q and %d more say that they recorded it", i, x.By, y.By, winner, wins.Len())
		}
	}
	all, err1 := e.evaluated(ctx, id)
	due, err2 := e.due(ctx, id)
	if err := errors.Join(err1, err2); err != nil || len(all) != rounds || len(due) != rounds {
		return fmt.Errorf("%d evaluations, %d of them due, %w; expected %d", len(all), len(due), err, rounds)
	}
	return nil
}

func leadRace(ctx context.Context, e *CatalogEnv) error {
	id, epoch, err := e.alert(ctx)
	if err != nil {
		return err
	}
	d, err := e.A.Definition(ctx, id)
	if err != nil {
		return err
	}
	other, err := e.A.Define(ctx, port.Definition{Team: d.Team, Dataset: d.Dataset, Kind: port.KindTrigger, Name: "other"})
	if err != nil {
		return err
	}
	for i := range int64(30) {
		low, high := epoch+2*i+1, epoch+2*i+2
		show := func(c port.Metadata, alert, epoch int64, by string) error {
			if i%2 == 0 {
				return c.Lead(ctx, epoch, by)
			}
			_, _, err := c.Record(ctx, port.Evaluation{Alert: alert, Window: i, Epoch: epoch, By: by})
			return err
		}
		if err := e.both(ctx, func(_ context.Context, c port.Metadata) error {
			if c == e.A {
				return show(c, id, high, "high")
			}
			if err := show(c, other.ID, low, "low"); err != nil { // it was first, or it is fenced
				return certainly("the lower", err, port.ErrFenced)
			}
			return nil
		}); err != nil {
			return err
		}
		got, by, err := e.B.Epoch(ctx)
		if err != nil || got != high || by != "high" {
			return fmt.Errorf("round %d: epoch %d of %q, %w; expected %d", i, got, by, err, high)
		}
	}
	return nil
}
