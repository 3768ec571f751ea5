package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

// Pauses between attempts at one window while the data are not fresh enough: the first, doubled up to the last.
const (
	againFirst = 250 * time.Millisecond
	againLast  = 2 * time.Second
)

// errNotFresh: the data that an evaluation needs are not there yet.
var errNotFresh = errors.New("the data are not fresh enough")

// errHopeless: waiting will not help.
var errHopeless = errors.New("it cannot be evaluated")

// evaluator is a task that evaluates what is due.
func (t *term) evaluator(ctx context.Context) error {
	for {
		next, err := t.due.ready.Pop(ctx)
		if err != nil {
			return nil //nolint:nilerr // the term is over
		}
		if err := t.handle(ctx, next); err != nil {
			return over(ctx, err)
		}
	}
}

// handle brings one alert a step further, and puts it back on the agenda. An error ends the term.
func (t *term) handle(ctx context.Context, now turn) error {
	a := now.a
	t.mu.Lock()
	if a.disabled || now.n != a.turns {
		t.mu.Unlock()
		return nil
	}
	a.busy = true
	rule, window, changed := a.rule, a.next, a.changed
	a.changed = false
	t.mu.Unlock()
	var next time.Time
	var err error
	if changed {
		window, err = t.prepare(ctx, a, &rule, window)
		next = t.dueAt(window)
	} else {
		window, next, err = t.evaluate(ctx, a, &rule, window)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a.busy = false
	switch {
	case errors.Is(err, port.ErrNotFound):
		err = nil // its definition was deleted
	case err != nil:
	case a.changed: // while this task had it
		t.plan(a, t.w.r.Now())
	default:
		a.next = window
		t.plan(a, next)
	}
	return err
}

func (t *term) dueAt(window int64) time.Time { return time.Unix(0, window).Add(t.w.cfg.Settle) }

// prepare reads what was evaluated before, and says which window is next.
func (t *term) prepare(ctx context.Context, a *alert, r *rule, from int64) (window int64, err error) {
	w := t.w
	var last *port.Evaluation
	if err := w.store(ctx, func(ctx context.Context) error {
		e, err := w.ports.Evaluations.LastEvaluation(ctx, r.def.ID)
		last = &e
		return err
	}); errors.Is(err, port.ErrNotFound) {
		last = nil
	} else if err != nil {
		return 0, fmt.Errorf("read the last evaluation of %d: %w", r.def.ID, err)
	}
	a.before, a.began, a.tries = past{}, time.Time{}, 0
	if last != nil {
		list := []port.Evaluation{*last}
		if r.trigger != nil && r.threshold.ExceededLimit > 1 {
			// Stale ones are passed over, so a few more than the limit are looked at.
			back := int64(4*r.threshold.ExceededLimit+16) * int64(r.frequency)
			if err := w.store(ctx, func(ctx context.Context) (err error) {
				list, err = w.ports.Evaluations.EvaluationsOf(ctx, r.def.ID, last.Window-back, last.Window+1)
				return err
			}); err != nil {
				return 0, fmt.Errorf("read the evaluations of %d: %w", r.def.ID, err)
			}
		}
		a.before = remember(r.threshold, list)
	}
	return max(firstWindow(&r.def, last, r.frequency, w.r.Now()), from), nil
}

// evaluate tries one window. It returns the window to be tried next, and when.
func (t *term) evaluate(ctx context.Context, a *alert, r *rule, window int64) (int64, time.Time, error) {
	if a.began.IsZero() {
		a.began = t.w.r.Now()
	}
	found, err := t.find(ctx, a, r, window)
	if ctx.Err() != nil {
		return 0, time.Time{}, ctx.Err()
	}
	now, deadline := t.w.r.Now(), a.began.Add(t.w.cfg.Patience)
	if err != nil && !errors.Is(err, errHopeless) && now.Before(deadline) {
		again := now.Add(t.w.jitter(min(againFirst<<min(a.tries, 8), againLast)))
		if again.After(deadline) {
			again = deadline
		}
		a.tries++
		return window, again, nil
	}
	next, err := t.record(ctx, a, r, window, found, err)
	return next, t.dueAt(next), err
}

// find looks at the data of one window.
func (t *term) find(ctx context.Context, a *alert, r *rule, window int64) (finding, error) {
	if r.burn != nil {
		return t.findBurn(ctx, a, r, window)
	}
	return t.findTrigger(ctx, r, window)
}

// record decides and stores one evaluation; stale says why nothing could be decided. It returns the next window.
func (t *term) record(ctx context.Context, a *alert, r *rule, window int64, found finding, stale error) (int64, error) {
	w := t.w
	e := port.Evaluation{Alert: r.def.ID, Window: window, Epoch: t.held.Epoch, By: w.name, At: w.r.Now()}
	v := verdict{past: a.before}
	if stale != nil {
		e.Stale = true
	} else {
		v = decide(r.kind, r.threshold.ExceededLimit, a.before, found.exceeded)
		e.Value, e.Fires, e.Resolves = found.value, v.fires, v.resolves
	}
	e.Triggered = v.triggered
	if e.Fires || e.Resolves {
		n := newNotice(&r.def, &e, r.threshold, found.groups)
		if r.burn != nil {
			n.SLO = r.burn.SLO.ID
		}
		for {
			var err error
			if e.Notice, err = n.encode(); err != nil {
				return 0, fmt.Errorf("write the notice of %s: %w", key(&e), err)
			}
			if len(e.Notice) <= port.MaxBodyBytes || len(n.Groups) == 0 {
				break
			}
			n.Groups = n.Groups[:len(n.Groups)/2] // the worst come first
		}
	}
	stored, recorded, err := t.store(ctx, e)
	if err != nil {
		return 0, fmt.Errorf("record %d/%d: %w", e.Alert, e.Window, err)
	}
	// After an answer was lost, what this very task has recorded is there already.
	own := recorded || stored.Epoch == e.Epoch && stored.By == e.By
	if own {
		a.before = v.past
		t.tell(r, &e, stale)
		if e.Fires || e.Resolves {
			t.deliver(stored)
		}
	} else {
		a.before = after(r.threshold, a.before, &stored)
		w.count(func(s *Totals) { s.Overtaken++ })
	}
	a.began, a.tries = time.Time{}, 0
	return windowAfter(time.Unix(0, window), r.frequency), nil
}

// after is the past once another's evaluation is part of it.
func after(t definition.Threshold, before past, e *port.Evaluation) past {
	p := past{triggered: e.Triggered, streak: before.streak}
	switch {
	case e.Stale:
	case exceeds(t, e.Value):
		p.streak++
	default:
		p.streak = 0
	}
	return p
}

// store records an evaluation under the term's epoch, or not at all if the lock is known to be lost.
func (t *term) store(ctx context.Context, e port.Evaluation) (stored port.Evaluation, recorded bool, err error) {
	w := t.w
	err = w.store(ctx, func(ctx context.Context) (err error) {
		if t.unfenced() {
			if e.Epoch, _, err = w.ports.Evaluations.Epoch(ctx); err != nil { // planted bug: whoever leads
				return err
			}
		} else if lost := t.held.Err(); lost != nil {
			return fmt.Errorf("%w: %w", port.ErrFenced, lost)
		}
		stored, recorded, err = w.ports.Evaluations.Record(ctx, e)
		return err
	})
	return stored, recorded, err
}

// tell announces and counts what was recorded.
func (t *term) tell(r *rule, e *port.Evaluation, stale error) {
	w := t.w
	w.count(func(s *Totals) {
		s.Evaluated++
		switch {
		case e.Stale:
			s.Stale++
		case e.Fires:
			s.Fired++
		case e.Resolves:
			s.Resolved++
		}
	})
	w.tellEvaluation(r, e, stale)
	switch {
	case e.Stale:
		w.announce(port.EventAlertStale, "%d/%d: %s", e.Alert, e.Window, brief(stale.Error()))
	case e.Fires || e.Resolves:
		w.announce(port.EventAlertFired, "%s: %v %s %v", key(e), e.Value, r.threshold.Op, r.threshold.Value)
	}
}

// jitter spreads a pause by a quarter either way, so that alerts that wait for the same data do not ask all at once.
func (w *Worker) jitter(pause time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return pause*3/4 + time.Duration(w.r.Rand().Int64N(int64(pause)/2+1))
}

func (w *Worker) count(change func(s *Totals)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.totals)
}
