package shepherd

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// shedReportEvery is the shortest time between two announcements of shedding, and between two about one team.
const shedReportEvery = time.Second

// mostTeamsTold bounds the list of teams in [Health].
const mostTeamsTold = 20

// tenant is what the shepherd keeps of a team that has sent something lately.
type tenant struct {
	id   int64
	name string // names do not change

	// Guarded by the shepherd's lock.
	team   port.Team
	held   load // in flight
	users  int  // requests that are being served
	bucket bucket
	shed   reporter
	told   TeamHealth // totals
}

// TeamHealth is what a shepherd says about one team since the team's last longer silence.
type TeamHealth struct {
	ID             int64  `json:"id"`
	Name           string `json:"name"`
	InFlightEvents int64  `json:"in_flight_events"`
	InFlightBytes  int64  `json:"in_flight_bytes"`
	Shed           int64  `json:"shed"`    // events turned away because too much was in flight
	Limited        int64  `json:"limited"` // events beyond a rate limit
}

// reporter counts what is to be announced, and says when.
type reporter struct {
	at    time.Time // of the last announcement
	since int64     // events since then
}

// add counts n and returns how many to announce now, 0 for none.
func (r *reporter) add(n int64, now time.Time) int64 {
	r.since += n
	if !r.at.IsZero() && now.Sub(r.at) < shedReportEvery {
		return 0
	}
	n, r.since, r.at = r.since, 0, now
	return n
}

// verdict is whether there is room for more work, and if not, why.
type verdict uint8

const (
	room      verdict = iota
	allFull           // the shepherd's bound
	shareFull         // what the team may hold of it
)

// enter finds the tenant of a team for a request. leave ends that.
func (s *Shepherd) enter(team port.Team) *tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, fresh := s.tenants.get(team.ID)
	if fresh {
		t.id, t.name = team.ID, team.Name
	}
	t.team = team
	t.users++
	return t
}

func (s *Shepherd) leave(t *tenant) {
	s.mu.Lock()
	t.users--
	s.mu.Unlock()
}

func (t *tenant) busy() bool { return t.users > 0 || t.held != load{} }

// roomLocked says whether a team may have more in flight. Beside the bound for all there is one for each team, which
// moves: it may hold up to TeamShare/(1-TeamShare) times what is free. Alone, it comes to TeamShare of the whole. The
// fuller the shepherd, the lower it is, and whoever holds the most meets it first. However many teams are stuck, a part
// of the whole stays free for the next one, because each of them has stopped short of it.
// (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.)
func (s *Shepherd) roomLocked(t *tenant, l load) verdict {
	if s.unbounded {
		return room
	}
	v := room
	for _, d := range [...]struct{ more, held, all, bound int64 }{
		{l.events, t.held.events, s.inflight.events, s.cfg.MaxInFlightEvents},
		{l.bytes, t.held.bytes, s.inflight.bytes, s.cfg.MaxInFlightBytes},
	} {
		switch {
		case d.more == 0:
		case d.all+d.more > d.bound:
			return allFull
		case s.oneBound || s.cfg.TeamShare >= 1:
		case float64(d.held+d.more)*(1-s.cfg.TeamShare) > s.cfg.TeamShare*float64(d.bound-d.all-d.more):
			v = shareFull
		}
	}
	return v
}

func (s *Shepherd) reserveLocked(t *tenant, l load) verdict {
	v := s.roomLocked(t, l)
	if v == room {
		s.inflight.add(l)
		t.held.add(l)
		s.peak.events = max(s.peak.events, s.inflight.events)
		s.peak.bytes = max(s.peak.bytes, s.inflight.bytes)
	}
	return v
}

func (s *Shepherd) releaseLocked(t *tenant, l load) {
	s.inflight.sub(l)
	t.held.sub(l)
}

// reserve takes room for work, or none.
func (s *Shepherd) reserve(t *tenant, l load) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserveLocked(t, l)
}

func (s *Shepherd) release(t *tenant, l load) {
	s.mu.Lock()
	s.releaseLocked(t, l)
	s.mu.Unlock()
}

// shed counts events of a team that were turned away, and announces it now and then.
func (s *Shepherd) shed(t *tenant, n int, why verdict) {
	now := s.r.Now()
	s.mu.Lock()
	t.told.Shed += int64(n)
	r := &s.shedding
	if why == shareFull {
		r = &t.shed
	}
	since, all, held := r.add(int64(n), now), s.inflight, t.held
	s.mu.Unlock()
	switch {
	case since == 0:
	case why == shareFull:
		s.events.Announce(port.Event{Kind: port.EventTenantShed, Node: s.name,
			Detail: fmt.Sprintf("%d events of team %s shed, which has %d events and %d bytes of all %d and %d in flight", since, t.name, held.events, held.bytes, all.events, all.bytes)})
	default:
		s.events.Announce(port.Event{Kind: port.EventShed, Node: s.name,
			Detail: fmt.Sprintf("%d events shed; in flight: %d events, %d bytes", since, all.events, all.bytes)})
	}
}

// text is what a client is told.
func (v verdict) text() string {
	if v == shareFull {
		return textTeamShed
	}
	return textShed
}

// teamsLocked lists the teams that hold the most, those with nothing in flight last.
func (s *Shepherd) teamsLocked() []TeamHealth {
	teams := make([]TeamHealth, 0, len(s.tenants.byID))
	s.tenants.each(func(t *tenant) {
		told := t.told
		told.ID, told.Name, told.InFlightEvents, told.InFlightBytes = t.id, t.name, t.held.events, t.held.bytes
		teams = append(teams, told)
	})
	slices.SortFunc(teams, func(a, b TeamHealth) int {
		return cmp.Or(cmp.Compare(b.InFlightBytes, a.InFlightBytes), cmp.Compare(b.InFlightEvents, a.InFlightEvents),
			cmp.Compare(b.Shed+b.Limited, a.Shed+a.Limited), cmp.Compare(a.ID, b.ID))
	})
	return slices.Clip(teams[:min(len(teams), mostTeamsTold)])
}
