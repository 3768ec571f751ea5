package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/lock"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// term is one time of leading. All that a leader knows is of its term, and read from the metadata store anew in the next.
type term struct {
	w    *Worker
	held *lock.Held
	due  *agenda[turn]
	post *agenda[*delivery]

	mu         sync.Mutex // never held across a blocking call
	over       bool
	alerts     map[int64]*alert
	invalid    int
	objectives map[int64]definition.SLO
	recipients map[int64]definition.Recipient // a team's, by the definition's ID
	deliveries map[port.Place]*delivery       // what is not delivered yet
	under      map[int64]int                  // by alert: how many of those
	finished   map[port.Place]bool            // what was delivered since the last time that was listed
	targets    map[string]*target             // by URL
	goal       *goal
}

// alert is a trigger or a burn alert. What is not guarded by the term's mutex belongs to the task that has taken it from the
// agenda.
type alert struct {
	// Guarded by the term's mutex.
	rule
	next    int64 // the window to be evaluated; 0: not known yet
	busy    bool  // a task has it
	changed bool  // its definition has, so what was read of it must be read again
	turns   int   // of these, the last that was put on the agenda counts

	// Of the task.
	before past
	began  time.Time // when this window was first tried; zero: not yet
	tries  int
	counts counted // of a burn alert
}

// turn is an alert's place on the agenda.
type turn struct {
	a *alert
	n int
}

// rule is what a definition says.
type rule struct {
	def       port.Definition
	trigger   *definition.Trigger // or
	burn      *definition.BurnAlert
	frequency time.Duration
	threshold definition.Threshold
	kind      definition.AlertType
	disabled  bool
	told      []definition.Recipient
}

func newTerm(w *Worker, held *lock.Held) *term {
	return &term{
		w: w, held: held, due: newAgenda[turn](w.r), post: newAgenda[*delivery](w.r),
		alerts: map[int64]*alert{}, objectives: map[int64]definition.SLO{}, recipients: map[int64]definition.Recipient{},
		deliveries: map[port.Place]*delivery{}, under: map[int64]int{}, finished: map[port.Place]bool{}, targets: map[string]*target{},
	}
}

// depose tells, once, that the term is over.
func (t *term) depose(why string) {
	t.mu.Lock()
	first := !t.over
	t.over = true
	t.mu.Unlock()
	if first {
		t.w.announce(port.EventLeaderDown, "epoch %d: %s", t.held.Epoch, brief(why))
	}
}

// run leads until the term is over. Its error is why it ended itself.
func (t *term) run(ctx context.Context) error {
	w := t.w
	// From here on, whoever led before is refused.
	if err := w.store(ctx, func(ctx context.Context) error { return w.ports.Evaluations.Lead(ctx, t.held.Epoch, w.name) }); err != nil {
		return over(ctx, fmt.Errorf("lead: %w", err))
	}
	group, _ := rt.NewGroup(w.r, ctx)
	group.Go("read definitions", t.refresh)
	group.Go("schedule evaluations", t.due.run)
	group.Go("schedule deliveries", t.post.run)
	group.Go("take over deliveries", t.takeOver)
	for i := range w.cfg.Parallel {
		group.Go("evaluate "+strconv.Itoa(i), t.evaluator)
		group.Go("deliver "+strconv.Itoa(i), t.deliverer)
	}
	return over(ctx, group.Wait(context.WithoutCancel(ctx)))
}

// over is err, unless it only says that the term was ended from outside.
func over(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, port.ErrFenced) {
		return nil
	}
	return err
}

// refresh reads the definitions again and again.
func (t *term) refresh(ctx context.Context) error {
	w := t.w
	for {
		var list []port.Definition
		if err := w.store(ctx, func(ctx context.Context) (err error) {
			list, err = w.ports.Definitions.DefinitionsOf(ctx, 0, port.KindTrigger, port.KindBurnAlert, port.KindSLO, port.KindRecipient)
			return err
		}); err != nil {
			return over(ctx, fmt.Errorf("read the definitions: %w", err))
		}
		t.take(list)
		if w.r.Sleep(ctx, w.cfg.RefreshEvery) != nil {
			return nil //nolint:nilerr // the term, or the worker, is over
		}
	}
}

// take makes the definitions that were read the ones that hold.
func (t *term) take(list []port.Definition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.w.r.Now()
	there := map[int64]bool{}
	t.invalid = 0
	t.objectives, t.recipients = map[int64]definition.SLO{}, map[int64]definition.Recipient{}
	for i := range list {
		d := &list[i]
		switch d.Kind {
		case port.KindSLO:
			if slo, err := definition.ParseSLO(d.Body, definition.Options{}); err == nil {
				t.objectives[d.ID] = slo
			}
			continue
		case port.KindRecipient:
			var r definition.Recipient
			if json.Unmarshal(d.Body, &r) == nil {
				t.recipients[d.ID] = r
			}
			continue
		case port.KindTrigger, port.KindBurnAlert:
		default:
			continue
		}
		there[d.ID] = true
		a := t.alerts[d.ID]
		if a != nil && a.def.Version == d.Version {
			if a.frequency == 0 {
				t.invalid++
			}
			continue
		}
		rule, err := read(d)
		if err != nil {
			t.invalid++ // what it said before holds no more
		}
		if a == nil {
			a = &alert{}
			t.alerts[d.ID] = a
		}
		enabled := a.disabled && !rule.disabled
		a.rule, a.changed = rule, true
		if enabled {
			a.next = windowAfter(now, rule.frequency) // nothing is made up for
		} else {
			a.next = 0
		}
		if !a.busy && !a.disabled { // a task that has it puts it back
			t.plan(a, now)
		}
	}
	for id, a := range t.alerts { // order: each is only marked, and found by its ID
		if !there[id] {
			a.disabled = true
			delete(t.alerts, id)
		}
	}
}

// plan puts an alert on the agenda, instead of where it is there. t.mu is held.
func (t *term) plan(a *alert, due time.Time) {
	a.turns++
	t.due.put(due, turn{a, a.turns})
}

// read is what a definition says. Frequencies below the API's least are for whoever let them be defined to refuse.
func read(d *port.Definition) (rule, error) {
	r := rule{def: *d, disabled: true}
	opts := definition.Options{MinFrequency: 1}
	// Who is to be told can be read even of a definition that is not valid otherwise.
	var told struct {
		Recipients []definition.Recipient `json:"recipients"`
	}
	_ = json.Unmarshal(d.Body, &told)
	r.told = told.Recipients
	if d.Kind == port.KindTrigger {
		tr, err := definition.ParseTrigger(d.Body, opts)
		if err != nil {
			return r, err
		}
		r.trigger, r.threshold, r.kind, r.disabled = &tr, tr.Threshold, tr.AlertType, tr.Disabled
		r.frequency = time.Duration(tr.Frequency) * time.Second
		return r, nil
	}
	b, err := definition.ParseBurnAlert(d.Body, opts)
	if err != nil {
		return r, err
	}
	r.burn, r.kind, r.frequency, r.disabled = &b, definition.OnChange, burnFrequency, false
	if b.AlertType == definition.BudgetRate {
		r.threshold = definition.Threshold{Op: ">=", Value: float64(b.BudgetRateDecreaseThresholdPerMillion)}
	} else {
		r.threshold = definition.Threshold{Op: "<=", Value: float64(*b.ExhaustionMinutes)}
	}
	return r, nil
}

// unfenced says whether the leader relies on its lock alone, which is a planted bug.
func (t *term) unfenced() bool { return t.w.bugs.Has(planted.LockWithoutFencing) }

// brief is a text, cut where it is long.
func brief(text string) string {
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
