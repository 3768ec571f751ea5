package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	// deliverTimeout bounds one attempt.
	deliverTimeout = 5 * time.Second
	// maxBackOff is how many times DeliverEvery the pause grows to.
	maxBackOff = 4
	// maxListed bounds what is taken over at once; maxDeliveries what is kept in memory, and maxOfAlert what of that is one
	// alert's, whose receivers may be gone for good: the metadata store has all, which is gone through again and again.
	maxListed     = 1000
	maxDeliveries = 10_000
	maxOfAlert    = 100
	// crowdPause is before one is tried again whose target has enough attempts under way.
	crowdPause = 100 * time.Millisecond
)

// delivery is an alert on its way. But for the place it belongs to the task that has taken it from the agenda.
type delivery struct {
	port.Place
	key  string
	body json.RawMessage
	done map[string]bool // URLs that have taken it, in this term
}

// target is a receiver. One that fails is left alone for a while by all that is for it, so it does not hold up others.
type target struct {
	failures int
	until    time.Time
	trying   int
}

// deliver puts an evaluation on its way, unless it is.
func (t *term) deliver(e port.Evaluation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := e.Place()
	if t.deliveries[at] != nil || t.finished[at] || len(t.deliveries) >= maxDeliveries || t.under[e.Alert] >= maxOfAlert {
		return
	}
	d := &delivery{Place: at, key: key(&e), body: e.Notice, done: map[string]bool{}}
	t.deliveries[at] = d
	t.under[e.Alert]++
	t.post.put(t.w.r.Now(), d)
}

// takeOver puts on its way what is not delivered, whoever has found it: a part of it at a time, and then from the oldest again.
func (t *term) takeOver(ctx context.Context) error {
	w := t.w
	for after := (port.Place{}); ; {
		t.mu.Lock()
		clear(t.finished)
		t.mu.Unlock()
		var list []port.Evaluation
		if err := w.store(ctx, func(ctx context.Context) (err error) {
			list, err = w.ports.Evaluations.Undelivered(ctx, after, maxListed)
			return err
		}); err != nil {
			return over(ctx, fmt.Errorf("list what is not delivered: %w", err))
		}
		for i := range list {
			t.deliver(list[i])
		}
		if after = (port.Place{}); len(list) >= maxListed {
			after = list[len(list)-1].Place()
		}
		if w.r.Sleep(ctx, w.cfg.DeliverEvery) != nil {
			return nil //nolint:nilerr // the term, or the worker, is over
		}
	}
}

// deliverer is a task that delivers.
func (t *term) deliverer(ctx context.Context) error {
	for {
		d, err := t.post.ready.Pop(ctx)
		if err != nil {
			return nil //nolint:nilerr // the term is over
		}
		again, err := t.send(ctx, d)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the term, or the worker, is over
		case err != nil:
			t.w.trouble(fmt.Errorf("deliver %s: %w", d.key, err))
			again = t.w.r.Now().Add(t.w.cfg.DeliverEvery)
		}
		if !again.IsZero() {
			t.post.put(again, d)
		}
	}
}

// send sends a delivery to those who do not have it yet, and marks it if all have. It returns when to try again; zero: it is
// over.
func (t *term) send(ctx context.Context, d *delivery) (again time.Time, err error) {
	w := t.w
	urls, err := t.urls(ctx, d.Alert)
	if errors.Is(err, port.ErrNotFound) { // deleted, and with it what it had to say
		t.forget(d.Place)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	for _, url := range urls {
		if d.done[url] {
			continue
		}
		wait, err := t.sendTo(ctx, d, url)
		switch {
		case ctx.Err() != nil:
			return time.Time{}, ctx.Err()
		case wait.IsZero():
			d.done[url] = true
		case again.IsZero() || wait.Before(again):
			again = wait
		}
		if err != nil {
			w.trouble(fmt.Errorf("deliver %s: %w", d.key, err))
		}
	}
	if !again.IsZero() {
		return again, nil
	}
	at := w.r.Now()
	if err := w.store(ctx, func(ctx context.Context) error {
		return w.ports.Evaluations.Delivered(ctx, d.Alert, d.Window, at)
	}); err != nil && !errors.Is(err, port.ErrNotFound) {
		return time.Time{}, err
	}
	t.forget(d.Place)
	w.count(func(s *Totals) { s.Delivered++ })
	w.announce(port.EventAlertDelivered, "%s", d.key)
	return time.Time{}, nil
}

// sendTo sends to one receiver. It returns when that may be tried again; zero: it has taken it.
func (t *term) sendTo(ctx context.Context, d *delivery, url string) (again time.Time, err error) {
	w := t.w
	now := w.r.Now()
	t.mu.Lock()
	to := t.targets[url]
	if to == nil {
		to = &target{}
		t.targets[url] = to
	}
	switch {
	case now.Before(to.until):
		again = to.until
	case to.trying > 0 && to.trying >= w.cfg.Parallel/2:
		again = now.Add(crowdPause)
	default:
		to.trying++
	}
	t.mu.Unlock()
	if !again.IsZero() {
		return again, nil
	}
	limited, cancel := w.r.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	err = w.ports.Webhooks.Deliver(limited, url, d.key, d.body)
	w.tellDelivery(d, now, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	to.trying--
	if err == nil {
		to.failures, to.until = 0, time.Time{}
		if to.trying == 0 {
			delete(t.targets, url)
		}
		return time.Time{}, nil
	}
	to.failures++
	to.until = w.r.Now().Add(w.cfg.DeliverEvery * time.Duration(min(1<<min(to.failures-1, 8), maxBackOff)))
	return to.until, err
}

// forget drops a delivery that is over.
func (t *term) forget(at port.Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.deliveries, at)
	if t.under[at.Alert]--; t.under[at.Alert] == 0 {
		delete(t.under, at.Alert)
	}
	t.finished[at] = true
}

// urls lists where an alert is to be sent, each once.
func (t *term) urls(ctx context.Context, id int64) ([]string, error) {
	t.mu.Lock()
	a := t.alerts[id]
	var told []definition.Recipient
	if a != nil {
		told = a.told
	}
	t.mu.Unlock()
	if a == nil {
		d, err := t.w.ports.Definitions.Definition(ctx, id)
		if err != nil {
			return nil, err
		}
		r, _ := read(&d) // who is told is read in any case
		told = r.told
	}
	var urls []string
	seen := map[string]bool{}
	for _, r := range told {
		if r.Target == "" && r.ID != "" {
			n, err := strconv.ParseInt(r.ID, 10, 64)
			if err != nil {
				continue
			}
			if r, err = t.recipient(ctx, n); err != nil {
				return nil, err
			}
		}
		if r.Type == "webhook" && r.Target != "" && !seen[r.Target] {
			seen[r.Target] = true
			urls = append(urls, r.Target)
		}
	}
	return urls, nil
}

// recipient is a receiver that is known by its ID, and nobody if it is gone. A new leader may be asked before it has read the
// definitions.
func (t *term) recipient(ctx context.Context, id int64) (r definition.Recipient, err error) {
	t.mu.Lock()
	r, known := t.recipients[id]
	t.mu.Unlock()
	if known {
		return r, nil
	}
	d, err := t.w.ports.Definitions.Definition(ctx, id)
	switch {
	case errors.Is(err, port.ErrNotFound):
		return r, nil
	case err != nil:
		return r, err
	case d.Kind == port.KindRecipient:
		_ = json.Unmarshal(d.Body, &r)
	}
	return r, nil
}
