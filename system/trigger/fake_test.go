package trigger_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/lock/locktest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/trigger"
)

// world is what workers work with: a metadata store, a query node, a receiver of webhooks and an ensemble, in a bubble of
// virtual time.
type world struct {
	*locktest.Ensemble
	t     testing.TB
	wall  *rt.Wall
	begin time.Time
	cfg   trigger.Config

	processes []*rt.Wall

	mu        sync.Mutex
	defs      []port.Definition
	evals     []port.Evaluation // in the order in which they were recorded
	counts    []port.SLOCount
	progress  map[int32]int64
	ends      []int64
	epoch     int64
	by        string
	lose      int  // answers of Record that will be lost, with their effect
	away      bool // the metadata store
	listless  bool // it cannot list definitions
	value     func(at time.Time) float64
	groups    func(at time.Time) []exec.Row
	columns   int                              // by which they are broken down, if not by one
	lag       func(at time.Time) time.Duration // by which data are behind
	partial   bool
	code      int
	queryErr  map[string]error
	hold      *rt.Future[struct{}] // queries wait for it, if there is one
	asked     []string             // by whom, at which node
	requests  []query.Request
	down      map[string]bool // receivers
	delivered []delivered
	events    []port.Event
}

type delivered struct {
	at       time.Time
	url, key string
	body     string
}

// inBubble runs a test at a whole minute.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			Ensemble: locktest.New(), t: t, wall: rt.NewWall(1), cfg: trigger.DefaultConfig(), progress: map[int32]int64{}, down: map[string]bool{},
			queryErr: map[string]error{},
		}
		w.begin = time.Now().UTC().Truncate(time.Minute)
		test(t, w)
		for _, p := range append(w.processes, w.wall) {
			p.Kill()
			p.Wait()
		}
	})
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// node is one worker's process.
type node struct {
	*trigger.Worker
	name   string
	cancel context.CancelFunc
	ended  *rt.Future[error]
}

func (w *world) start(name string, bugs ...string) *node {
	w.t.Helper()
	set, err := planted.Parse(bugs...)
	if err != nil {
		w.t.Fatal(err)
	}
	p := rt.NewWall(uint64(len(w.processes)))
	w.processes = append(w.processes, p)
	s := store{world: w, name: name}
	ports := port.Ports{
		Coordination: w.Client(p, name), Definitions: s, Evaluations: s, Counts: s, Peers: peers{w, name}, Webhooks: webhooks{w}, Events: sink{w},
		Log: log{w: w},
	}
	worker, err := trigger.New(p, ports, w.cfg, []string{"query1", "query2"}, name, set, trigger.Counting("events"))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := p.WithCancel(context.Background())
	n := &node{worker, name, cancel, rt.NewFuture[error](w.wall)}
	p.Go(name, func(context.Context) { n.ended.Complete(worker.Run(ctx), nil) })
	return n
}

// until lets time pass until some time after the beginning.
func (w *world) until(d time.Duration) {
	time.Sleep(time.Until(w.begin.Add(d)))
	synctest.Wait()
}

// define adds a definition.
func (w *world) define(kind port.DefinitionKind, name string, body json.RawMessage) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := int64(len(w.defs) + 1)
	now := time.Now()
	w.defs = append(w.defs, port.Definition{ID: id, Team: 7, Dataset: 3, Kind: kind, Name: name, Body: body, Created: now, Updated: now, Version: 1})
	return id
}

func (w *world) redefine(id int64, body json.RawMessage) {
	w.set(func() {
		d := &w.defs[id-1]
		d.Body, d.Updated, d.Version = body, time.Now(), d.Version+1
	})
}

func (w *world) defineTrigger(change func(t *definition.Trigger)) int64 {
	return w.define(port.KindTrigger, "too many", body(change))
}

func body(change func(t *definition.Trigger)) json.RawMessage {
	t := definition.Trigger{
		Name: "too many", Query: json.RawMessage(`{"calculations":[{"op":"COUNT"}],"time_range":60}`), Threshold: definition.Threshold{Op: ">", Value: 10},
		Frequency: 60, AlertType: definition.OnChange, Recipients: []definition.Recipient{{Type: "webhook", Target: "http://receiver/a"}},
	}
	if change != nil {
		change(&t)
	}
	return definition.Encode(t)
}

// of lists an alert's evaluations by window, and checks that there is one for each.
func (w *world) of(alert int64, from, to int) []port.Evaluation {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []port.Evaluation
	for _, e := range w.evals {
		if e.Alert == alert {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b port.Evaluation) int { return cmp.Compare(a.Window, b.Window) })
	for i := from; i <= to; i++ {
		want := w.begin.Add(time.Duration(i) * time.Minute).UnixNano()
		if i-from >= len(list) || list[i-from].Window != want {
			w.t.Fatalf("alert %d has %d evaluations, and not minute %d as the %dth: %s", alert, len(list), i, i-from, w.say(list))
		}
	}
	if n := to - from + 1; len(list) != n {
		w.t.Fatalf("alert %d has %d evaluations, expected %d: %s", alert, len(list), n, w.say(list))
	}
	return list
}

func (w *world) say(list []port.Evaluation) string {
	text := ""
	for _, e := range list {
		text += fmt.Sprintf("\n%v at %v by %s epoch %d: %v triggered %v fires %v resolves %v stale %v", time.Unix(0, e.Window).Sub(w.begin), e.At.Sub(w.begin), e.By, e.Epoch, e.Value, e.Triggered, e.Fires, e.Resolves, e.Stale)
	}
	return text
}

func (w *world) announced(kind string) (details []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			details = append(details, e.Node+" "+e.Detail)
		}
	}
	return details
}

type sink struct{ w *world }

func (s sink) Announce(e port.Event) { s.w.set(func() { s.w.events = append(s.w.events, e) }) }

type webhooks struct{ w *world }

func (h webhooks) Deliver(ctx context.Context, url, key string, body []byte) error {
	if err := h.w.wall.Sleep(ctx, 5*time.Millisecond); err != nil {
		return err
	}
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.down[url] {
		return errors.New("503")
	}
	h.w.delivered = append(h.w.delivered, delivered{time.Now(), url, key, string(body)})
	return nil
}

type peers struct {
	w    *world
	name string
}

func (p peers) Call(ctx context.Context, node, service string, request []byte) ([]byte, error) {
	w := p.w
	w.mu.Lock()
	w.asked = append(w.asked, p.name+" "+node)
	hold, err := w.hold, w.queryErr[node]
	w.mu.Unlock()
	if service != query.ServiceRun {
		return nil, fmt.Errorf("service %q", service)
	}
	if err := w.wall.Sleep(ctx, 20*time.Millisecond); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if hold != nil {
		if _, err := hold.Wait(ctx); err != nil {
			return nil, err
		}
	}
	var req query.Request
	var body struct {
		Team    int64           `json:"team_id"`
		Dataset int64           `json:"dataset_id"`
		Spec    json.RawMessage `json:"spec"`
		Table   bool            `json:"disable_series"`
	}
	if err := json.Unmarshal(request, &body); err != nil {
		return nil, err
	}
	req.TeamID, req.DatasetID, req.Spec, req.DisableSeries = body.Team, body.Dataset, body.Spec, body.Table
	var spec struct {
		End int64 `json:"end_time"`
	}
	if err := json.Unmarshal(body.Spec, &spec); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, req)
	end := time.Unix(spec.End, 0)
	a := query.Answer{Code: 200, Complete: !w.partial, FreshTo: time.Now().Add(-20 * time.Millisecond).UnixNano(), Result: &exec.Result{Columns: []string{"COUNT"}}}
	if w.code != 0 {
		a = query.Answer{Code: w.code, Error: "refused"}
		return query.EncodeAnswer(&a)
	}
	if w.lag != nil {
		a.FreshTo -= int64(w.lag(time.Now()))
	}
	if w.groups != nil {
		a.Result.Columns = []string{"service", "COUNT"}
		if w.columns > 0 {
			a.Result.Columns = nil
			for i := range w.columns {
				a.Result.Columns = append(a.Result.Columns, fmt.Sprintf("column %d", i))
			}
			a.Result.Columns = append(a.Result.Columns, "COUNT")
		}
		a.Result.Rows = w.groups(end)
	} else {
		v := 0.0
		if w.value != nil {
			v = w.value(end)
		}
		a.Result.Rows = []exec.Row{{Values: []exec.Cell{{Value: event.FloatValue(v)}}}}
	}
	return query.EncodeAnswer(&a)
}

type log struct {
	port.Log
	port.LogAdmin
	w *world
}

func (l log) Admin() port.LogAdmin { return l }

func (l log) Describe(context.Context, string) ([]port.PartitionState, error) {
	return make([]port.PartitionState, len(l.w.ends)), nil
}

func (l log) Offsets(_ context.Context, _ string, p int32) (start, high int64, err error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return 0, l.w.ends[p], nil
}

// store is the metadata store as one node sees it.
type store struct {
	port.Definitions
	port.Counts
	port.Evaluations
	*world
	name string
}

func (s store) reach(ctx context.Context) error {
	if err := s.wall.Sleep(ctx, time.Millisecond); err != nil {
		return fmt.Errorf("%w: %w", port.ErrUnknown, err)
	}
	s.mu.Lock()
	if s.away {
		s.mu.Unlock()
		return fmt.Errorf("connection refused: %w", port.ErrRefused)
	}
	return nil
}

func (s store) DefinitionsOf(ctx context.Context, _ int64, kinds ...port.DefinitionKind) ([]port.Definition, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.listless {
		return nil, fmt.Errorf("a timeout: %w", port.ErrUnknown)
	}
	var list []port.Definition
	for _, d := range s.defs {
		if d.ID != 0 && slices.Contains(kinds, d.Kind) {
			list = append(list, d)
		}
	}
	return list, nil
}

func (s store) Definition(ctx context.Context, id int64) (port.Definition, error) {
	if err := s.reach(ctx); err != nil {
		return port.Definition{}, err
	}
	defer s.mu.Unlock()
	for _, d := range s.defs {
		if d.ID == id {
			return d, nil
		}
	}
	return port.Definition{}, port.ErrNotFound
}

func (s store) Lead(ctx context.Context, epoch int64, by string) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if epoch < s.epoch {
		return port.ErrFenced
	}
	s.world.epoch, s.world.by = epoch, by
	return nil
}

func (s store) Epoch(ctx context.Context) (int64, string, error) {
	if err := s.reach(ctx); err != nil {
		return 0, "", err
	}
	defer s.mu.Unlock()
	return s.world.epoch, s.world.by, nil
}

func (s store) Record(ctx context.Context, e port.Evaluation) (port.Evaluation, bool, error) {
	if err := s.reach(ctx); err != nil {
		return port.Evaluation{}, false, err
	}
	defer s.mu.Unlock()
	if e.Epoch < s.world.epoch {
		return port.Evaluation{}, false, port.ErrFenced
	}
	s.world.epoch = e.Epoch
	for _, old := range s.evals {
		if old.Alert == e.Alert && old.Window == e.Window {
			return old, false, nil
		}
	}
	if s.defs[e.Alert-1].ID == 0 {
		return port.Evaluation{}, false, port.ErrNotFound
	}
	s.world.evals = append(s.world.evals, e)
	if s.lose > 0 {
		s.world.lose--
		return port.Evaluation{}, false, fmt.Errorf("connection closed: %w", port.ErrUnknown)
	}
	return e, true, nil
}

func (s store) LastEvaluation(ctx context.Context, alert int64) (port.Evaluation, error) {
	list, err := s.EvaluationsOf(ctx, alert, 0, 1<<62)
	if err == nil && len(list) == 0 {
		err = port.ErrNotFound
	}
	if err != nil {
		return port.Evaluation{}, err
	}
	return list[len(list)-1], nil
}

func (s store) EvaluationsOf(ctx context.Context, alert, from, to int64) ([]port.Evaluation, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []port.Evaluation
	for _, e := range s.evals {
		if e.Alert == alert && e.Window >= from && e.Window < to {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b port.Evaluation) int { return cmp.Compare(a.Window, b.Window) })
	return list, nil
}

func (s store) Undelivered(ctx context.Context, after port.Place, limit int) ([]port.Evaluation, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []port.Evaluation
	for _, e := range s.evals {
		if (e.Fires || e.Resolves) && e.Delivered.IsZero() && after.Before(e.Place()) && s.defs[e.Alert-1].ID != 0 {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b port.Evaluation) int {
		return a.Place().Compare(b.Place())
	})
	return list[:min(len(list), limit)], nil
}

func (s store) Delivered(ctx context.Context, alert, window int64, at time.Time) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for i := range s.evals {
		if e := &s.evals[i]; e.Alert == alert && e.Window == window && e.Delivered.IsZero() {
			e.Delivered = at
		}
	}
	return nil
}

func (s store) SLOCounts(ctx context.Context, slo, from, to int64) ([]port.SLOCount, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []port.SLOCount
	for _, c := range s.counts {
		if c.SLO == slo && c.Minute >= from && c.Minute < to {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b port.SLOCount) int { return cmp.Compare(a.Minute, b.Minute) })
	return list, nil
}

func (s store) ProgressOf(ctx context.Context, consumer, topic string) ([]port.Progress, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []port.Progress
	for p := range s.ends {
		if next, ok := s.progress[int32(p)]; ok {
			list = append(list, port.Progress{Consumer: consumer, Topic: topic, Partition: int32(p), Next: next})
		}
	}
	return list, nil
}
