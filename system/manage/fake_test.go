package manage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// store is a metadata store in memory: what port.Definitions, the datasets of port.Catalog and the last evaluations of
// port.Evaluations promise, no more.
type store struct {
	port.Evaluations // what is not faked

	mu       sync.Mutex
	now      time.Time
	last     int64
	defs     map[int64]port.Definition
	datasets []port.Dataset
	columns  map[int64][]port.Column
	fired    map[int64]bool
	fail     error // what everything answers, with its effect unless it matches ErrRefused
	failures int   // how often it does; -1: always
}

func newStore() *store {
	return &store{
		now: time.Unix(1_700_000_000, 0), defs: map[int64]port.Definition{}, fired: map[int64]bool{},
		datasets: []port.Dataset{{ID: 1, Team: 1, Name: "Web", Slug: "web"}, {ID: 2, Team: 1, Name: "api", Slug: "api"}, {ID: 3, Team: 2, Name: "web", Slug: "web"}},
		columns:  map[int64][]port.Column{1: {{Name: "duration_ms", Types: port.ColumnInt}, {Name: "status", Types: port.ColumnInt}}},
	}
}

// failing says how an operation fails. Under the lock.
func (s *store) failing() error {
	if s.failures == 0 {
		return nil
	}
	s.failures--
	return s.fail
}

func (s *store) taken(d port.Definition) (port.Definition, bool) {
	for _, o := range s.defs {
		if o.Team == d.Team && o.Dataset == d.Dataset && o.Kind == d.Kind && o.Name == d.Name && o.ID != d.ID {
			return o, true
		}
	}
	return d, false
}

func equalJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	a, _ = json.Marshal(x)
	b, _ = json.Marshal(y)
	return bytes.Equal(a, b)
}

func (s *store) there(dataset int64) bool {
	return slices.ContainsFunc(s.datasets, func(d port.Dataset) bool { return d.ID == dataset })
}

func (s *store) Define(_ context.Context, d port.Definition) (port.Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.failing()
	if !s.there(d.Dataset) && d.Dataset != 0 {
		return d, port.ErrNotFound
	}
	if o, taken := s.taken(d); taken {
		if equalJSON(o.Body, d.Body) {
			return o, err
		}
		return d, port.ErrNameTaken
	}
	s.last++
	s.now = s.now.Add(time.Second)
	d.ID, d.Created, d.Updated, d.Version = s.last, s.now, s.now, 1
	s.defs[d.ID] = d
	return d, err
}

func (s *store) Redefine(_ context.Context, d port.Definition) (port.Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.failing()
	old, there := s.defs[d.ID]
	if !there {
		return d, port.ErrNotFound
	}
	if _, taken := s.taken(d); taken {
		return d, port.ErrNameTaken
	}
	s.now = s.now.Add(time.Second)
	old.Name, old.Body, old.Updated, old.Version = d.Name, d.Body, s.now, old.Version+1
	s.defs[d.ID] = old
	return old, err
}

func (s *store) Definition(_ context.Context, id int64) (port.Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, there := s.defs[id]
	if !there {
		return d, port.ErrNotFound
	}
	return d, nil
}

func (s *store) DefinitionsOf(_ context.Context, dataset int64, kinds ...port.DefinitionKind) ([]port.Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dataset != 0 && !s.there(dataset) {
		return nil, port.ErrNotFound
	}
	var list []port.Definition
	for _, d := range s.defs {
		if (dataset == 0 || d.Dataset == dataset) && slices.Contains(kinds, d.Kind) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b port.Definition) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func (s *store) Undefine(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.failing()
	if _, there := s.defs[id]; !there {
		return port.ErrNotFound
	}
	delete(s.defs, id)
	return err
}

func (s *store) LastEvaluation(_ context.Context, alert int64) (port.Evaluation, error) {
	triggered, there := s.fired[alert]
	if !there {
		return port.Evaluation{}, port.ErrNotFound
	}
	return port.Evaluation{Alert: alert, Triggered: triggered}, nil
}

func (s *store) Dataset(_ context.Context, team int64, slug string) (port.Dataset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail; err != nil && s.failures < 0 {
		return port.Dataset{}, err
	}
	for _, d := range s.datasets {
		if d.Team == team && d.Slug == slug {
			return d, nil
		}
	}
	return port.Dataset{}, port.ErrNotFound
}

func (s *store) Columns(_ context.Context, dataset int64) ([]port.Column, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.there(dataset) {
		return nil, port.ErrNotFound
	}
	return s.columns[dataset], nil
}
