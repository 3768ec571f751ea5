package query

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/segment"
)

// AllDatasets is the name that stands for all of a team's datasets.
const AllDatasets = "__all__"

const (
	// maxRunning bounds the queries that are answered at once; others wait.
	maxRunning = 32
	// maxReading bounds the bytes of segments that are read at once.
	maxReading = 512 << 20
	// tidyEvery is how often what is too old is dropped.
	tidyEvery = 10 * time.Second
)

// Layout is where a query finds data.
type Layout struct {
	Partitions int32
	// Most is how many partitions the topic may grow to: of so many the retrievers are known. Where it is more than
	// Partitions, the node asks Kafka every now and then how many there are.
	Most  int32
	Topic string // needed only for that
	// Retrievers names the nodes that follow a partition.
	Retrievers func(partition int32) []string
}

// Server is a query node. It implements [Querier].
type Server struct {
	r         rt.Runtime
	ports     port.Ports
	cfg       Config
	layout    Layout
	name      string
	bugs      planted.Set
	catalog   *catalog.Resolver
	manifests *manifest.Store
	pool      *pool
	running   *rt.Semaphore
	reading   *rt.Semaphore // bytes
	room      *exec.Room    // of states, and of replies and answers on their way
	shelf     *shelf
	opened    opened

	mu     sync.Mutex // never held across a blocking call
	turn   int        // which of a pair is asked first
	failed map[string]time.Time
	known  map[int32]manifest.Manifest // as last read
	totals Totals
	took   []float64 // how many milliseconds queries took since the last tick, if somebody listens
	// partitions is how many are asked.
	partitions int32
}

var _ Querier = (*Server)(nil)

// Totals counts since the start.
type Totals struct {
	Queries, Partial, Refused int64
	Stats
}

// New makes a query node; name is its own.
func New(r rt.Runtime, ports port.Ports, cfg Config, layout Layout, name string, bugs planted.Set) (*Server, error) {
	switch {
	case cfg.Deadline <= 0:
		return nil, fmt.Errorf("query: the deadline is %v: expected more than 0", cfg.Deadline)
	case cfg.HedgeAfter <= 0:
		return nil, fmt.Errorf("query: hedge_after is %v: expected more than 0", cfg.HedgeAfter)
	case cfg.Workers < 1:
		return nil, fmt.Errorf("query: %d workers: expected at least 1", cfg.Workers)
	case cfg.MaxStored < 1:
		return nil, fmt.Errorf("query: max_stored is %d: expected at least 1", cfg.MaxStored)
	case !(cfg.Reissue >= 0 && cfg.Reissue <= 1):
		return nil, fmt.Errorf("query: reissue is %v: expected a share between 0 and 1", cfg.Reissue)
	case layout.Partitions < 1 || layout.Retrievers == nil:
		return nil, fmt.Errorf("query: the layout has %d partitions: expected at least 1, and their retrievers", layout.Partitions)
	}
	if ports.Events == nil {
		ports.Events = port.Discard{}
	}
	s := &Server{
		r: r, ports: ports, cfg: cfg, layout: layout, name: name, bugs: bugs, manifests: manifest.NewStore(ports.Blobs),
		pool: newPool(r, cfg), running: rt.NewSemaphore(r, maxRunning), reading: rt.NewSemaphore(r, maxReading), room: exec.NewRoom(exec.DefaultRoom), shelf: newShelf(cfg.MaxStored, name),
		opened: opened{byKey: map[string]*segment.Segment{}}, failed: map[string]time.Time{}, known: map[int32]manifest.Manifest{}, partitions: layout.Partitions,
	}
	// A dataset that was created again is found soon, because an answer about the old one would not be complete.
	s.catalog = catalog.New(r, ports.Catalog, catalog.Config{CacheFor: time.Second, MissFor: time.Second, Partitions: layout.Partitions}, func(kind, detail string) {
		ports.Events.Announce(port.Event{Kind: kind, Node: name, Detail: detail})
	})
	ports.Telemetry.OnTick(s.tick)
	return s, nil
}

// Run keeps house until ctx ends. Queries are answered also without it.
func (s *Server) Run(ctx context.Context) error {
	if s.layout.Most > s.layout.Partitions {
		s.r.Go("partitions", func(context.Context) { s.widen(ctx) })
	}
	for s.r.Sleep(ctx, tidyEvery) == nil {
		s.shelf.tidy(s.r.Now())
	}
	return nil
}

// Status is what a query node says about itself.
type Status struct {
	Running       int64  `json:"running"`
	StoredQueries int    `json:"stored_queries"`
	StoredResults int    `json:"stored_results"`
	Workers       int64  `json:"workers_busy"`
	Totals        Totals `json:"totals"`
}

// Status describes the node at this moment.
func (s *Server) Status() Status {
	st := Status{Workers: s.pool.busy()}
	st.StoredQueries, st.StoredResults, st.Running = s.shelf.count()
	s.mu.Lock()
	st.Totals = s.totals
	s.mu.Unlock()
	return st
}

// refusal is an answer without a result.
func refusal(code int, format string, args ...any) *Answer {
	return &Answer{Code: code, Error: fmt.Sprintf(format, args...)}
}

// busy refuses a query that has no room now.
func busy(err error) *Answer {
	return refusal(http.StatusServiceUnavailable, "%v: try again later", err)
}

// Query implements [Querier]. It takes no longer than the deadline. The error is ctx's, if it ended before there was
// anything to answer.
func (s *Server) Query(ctx context.Context, req Request) (Answer, error) {
	began := s.r.Now()
	a := s.query(ctx, &req, began)
	a.Stats.Millis = float64(s.r.Now().Sub(began)) / float64(time.Millisecond)
	s.mu.Lock()
	t := &s.totals
	switch {
	case a.Code != http.StatusOK:
		t.Refused++
	case !a.Complete:
		t.Partial++
	}
	t.Queries++
	t.add(a.Stats)
	s.mu.Unlock()
	s.tellQuery(&req, a)
	if a.Code != http.StatusOK && ctx.Err() != nil {
		return Answer{}, ctx.Err()
	}
	if a.Code == http.StatusOK && !a.Complete {
		s.announce(port.EventQueryPartial, -1, describe(a.Missing))
	}
	return *a, nil
}

func (s *Server) announce(kind string, partition int32, detail string) {
	s.ports.Events.Announce(port.Event{Kind: kind, Node: s.name, Part: partition, Detail: detail})
}

func (s *Server) query(ctx context.Context, req *Request, now time.Time) *Answer {
	q, refused := parse(req, now)
	if refused != nil {
		return refused
	}
	ctx, cancel := s.r.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	_, datasets, refused := s.resolve(ctx, req)
	if refused != nil {
		return refused
	}
	if err := s.running.Acquire(ctx, 1); err != nil {
		return refusal(http.StatusServiceUnavailable, "%d queries run already: try again later", maxRunning)
	}
	defer s.running.Release(1)
	g := newGather(s, q, datasets)
	defer g.share.Close()
	g.run(ctx)
	return g.answer()
}

// parse reads the specification and what the request says beside it.
func parse(req *Request, now time.Time) (*spec.Query, *Answer) {
	q, err := spec.Parse(req.Spec, now)
	if err != nil {
		code := http.StatusUnprocessableEntity
		var e *document.Error
		if errors.As(err, &e) && e.Problems[0].Field == "" {
			code = http.StatusBadRequest
		}
		return nil, refusal(code, "%v", err)
	}
	q.TableOnly = req.DisableSeries
	most := spec.MaxLimit
	if req.DisableSeries {
		most = spec.MaxTableLimit
	}
	switch {
	case req.Limit < 0 || req.Limit > most:
		return nil, refusal(http.StatusUnprocessableEntity, "limit: %d is out of bounds: expected 1 to %d (%d with disable_series)", req.Limit, most, spec.MaxTableLimit)
	case req.Limit > 0:
		q.Limit = req.Limit
	}
	return q, nil
}

// resolve finds the team of a key, and the IDs of what a dataset's name stands for.
func (s *Server) resolve(ctx context.Context, req *Request) (port.Team, []int64, *Answer) {
	key, dataset := req.Team, req.Dataset
	if req.TeamID != 0 {
		return s.resolveIDs(ctx, req)
	}
	if key == "" {
		return port.Team{}, nil, refusal(http.StatusUnauthorized, "the API key is missing: send it in the header X-Honeycomb-Team")
	}
	team, err := s.catalog.Team(ctx, key)
	switch {
	case errors.Is(err, port.ErrNotFound):
		return team, nil, refusal(http.StatusUnauthorized, "unknown API key: check your credentials")
	case err != nil:
		return team, nil, refusal(http.StatusServiceUnavailable, "the API key cannot be checked now: %v", err)
	}
	if dataset == AllDatasets {
		return s.resolveAll(ctx, team)
	}
	ds, err := s.catalog.Dataset(ctx, team.ID, dataset)
	switch {
	case errors.Is(err, port.ErrNotFound):
		return team, nil, refusal(http.StatusNotFound, "there is no dataset %q", dataset)
	case err != nil:
		return team, nil, refusal(http.StatusServiceUnavailable, "the dataset cannot be looked up now: %v", err)
	}
	return team, []int64{ds.ID}, nil
}

// resolveAll finds the IDs of all of a team's datasets.
func (s *Server) resolveAll(ctx context.Context, team port.Team) (port.Team, []int64, *Answer) {
	all, err := s.catalog.Datasets(ctx, team.ID)
	if err != nil {
		return team, nil, refusal(http.StatusServiceUnavailable, "the team's datasets cannot be listed now: %v", err)
	}
	ids := make([]int64, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	return team, ids, nil
}

func (t *Stats) add(o Stats) {
	t.RowsScanned += o.RowsScanned
	t.SegmentsRead += o.SegmentsRead
	t.SegmentsSkipped += o.SegmentsSkipped
	t.Hedged += o.Hedged
	t.Reissued += o.Reissued
	t.ColdStarts += o.ColdStarts
	t.Millis += o.Millis
}

// finish makes an answer of what was gathered.
func finish(q *spec.Query, sum *exec.Partial, share *exec.Share, missing []Missing, stats Stats) *Answer {
	result, err := sum.Finish(q)
	if err == nil {
		err = share.Take(result.Size())
	}
	if err != nil {
		a := refusal(http.StatusUnprocessableEntity, "%v", err)
		if errors.Is(err, exec.ErrBusy) {
			a = busy(err)
		}
		a.Stats = stats
		return a
	}
	a := &Answer{Code: http.StatusOK, Result: result, Stats: stats}
	if a.Result.Truncated {
		from, to := hours(q)
		missing = append(missing, Missing{Partition: -1, From: from, To: to, Why: "too many groups, or points of the series: some are left out; use fewer breakdowns, more filters or a coarser granularity"})
	}
	a.Missing = tidyMissing(missing)
	a.Complete = len(a.Missing) == 0
	return a
}
