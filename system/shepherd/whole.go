package shepherd

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// part is those events of a request that are of one dataset.
type part struct {
	dataset string
	events  []event.Event

	// While they are taken.
	ds    port.Dataset
	known *dataset // nil if the events cannot go there
}

// acceptWhole takes a request for several datasets of which either all events are let in or none, because its answer cannot
// say which were: what is turned away is sent again as a whole, and what had been let in would be there twice. Only Kafka
// can then still refuse some. The answer has a status for each event, part after part. forget is called when the events are not
// looked at any more, before Kafka has answered.
func (s *Shepherd) acceptWhole(ctx context.Context, t *tenant, parts []part, forget func()) Answer {
	n := 0
	for i := range parts {
		n += len(parts[i].events)
	}
	told := s.beginStory()
	a := Answer{Code: http.StatusOK, Statuses: make([]Status, n)}
	if !s.begin() {
		fill(a.Statuses, Refused, textDraining)
		s.count(a.Statuses)
		s.tellBatch(&told, t, datasetOf(parts), a.Statuses)
		return a
	}
	defer s.end()
	fill(a.Statuses, 0, "")
	if code, text := s.findDatasets(ctx, t, parts, a.Statuses); code != 0 {
		return Answer{Code: code, Error: text}
	}
	if turned := s.letInWhole(t, parts, &a); turned.Code != 0 {
		fillOpen(a.Statuses, turned)
	}
	if chunks := s.loadWhole(t, parts, a.Statuses); len(chunks) > 0 {
		forget()
		s.send(ctx, chunks, a.Statuses)
		told.add(chunks)
	}
	if s.partialAsSuccess {
		pretendAll(a.Statuses)
	}
	s.count(a.Statuses)
	s.tellBatch(&told, t, datasetOf(parts), a.Statuses)
	return a
}

// datasetOf names the dataset that a request is for; of several, the first.
func datasetOf(parts []part) string {
	if len(parts) == 0 {
		return ""
	}
	return parts[0].dataset
}

// fillOpen answers the events that have no answer yet.
func fillOpen(statuses []Status, answer Status) {
	for i := range statuses {
		if statuses[i].Code == 0 {
			statuses[i] = answer
		}
	}
}

// findDatasets finds each part's dataset. An answer for the whole request has a code.
func (s *Shepherd) findDatasets(ctx context.Context, t *tenant, parts []part, statuses []Status) (code int, text string) {
	at := 0
	for i := range parts {
		p := &parts[i]
		mine := statuses[at : at+len(p.events)]
		at += len(p.events)
		if text := checkDataset(p.dataset); text != "" {
			fill(mine, Malformed, text)
			continue
		}
		var err error
		p.ds, err = s.directory.DatasetForWrite(ctx, t.id, p.dataset)
		switch {
		case err == nil:
			s.mu.Lock()
			p.known, _ = s.datasets.get(p.ds.ID)
			s.mu.Unlock()
		case errors.Is(err, port.ErrNotFound): // its team was deleted
			return http.StatusUnauthorized, textUnknownKey
		case errors.Is(err, catalog.ErrName):
			fill(mine, Malformed, err.Error())
		default:
			// None of the request's events goes anywhere.
			fillOpen(statuses, Status{Code: Refused, Error: fmt.Sprintf(textNoCatalog, "dataset", err), Partition: -1, Offset: -1})
			return 0, ""
		}
	}
	return 0, ""
}

// letInWhole takes tokens for all events of the parts that have no answer yet, or none. A request of more events than a
// bucket holds is let in when the bucket is full, which then owes the rest: it would never be let in otherwise. The
// result, if it has a code, is the answer for all.
func (s *Shepherd) letInWhole(t *tenant, parts []part, a *Answer) (turned Status) {
	now := s.r.Now()
	turn := func(text string) { turned = Status{Code: Throttled, Error: text, Partition: -1, Offset: -1} }
	s.mu.Lock()
	defer s.mu.Unlock()
	t.bucket.refill(t.team.Limits, now)
	n, at := int64(0), 0
	for i := range parts {
		p := &parts[i]
		mine := int64(len(p.events))
		open := p.known != nil && a.Statuses[at].Code == 0
		at += len(p.events)
		if !open {
			p.known = nil
			continue
		}
		limits := s.limitsLocked(t, p)
		p.known.bucket.refill(limits, now)
		if n += mine; !p.known.bucket.covers(mine) {
			turn(textLimited("dataset", p.ds.Name, limits))
			a.Rate = p.known.bucket.rateFor(mine)
		}
	}
	if !t.bucket.covers(n) {
		turn(textLimited("team", t.name, t.team.Limits))
		a.Rate = t.bucket.rateFor(n)
	}
	if turned.Code != 0 {
		t.told.Limited += n
		return turned
	}
	t.bucket.take(n)
	a.Rate = t.bucket.rate()
	for i := range parts {
		if p := &parts[i]; p.known != nil {
			p.known.bucket.take(int64(len(p.events)))
			if r := p.known.bucket.rate(); r.Limit > 0 && (a.Rate.Limit == 0 || r.Remaining < a.Rate.Remaining) {
				a.Rate = r
			}
		}
	}
	return turned
}

// limitsLocked are a part's dataset's limits, its team's default if it has none.
func (s *Shepherd) limitsLocked(t *tenant, p *part) port.Limits {
	if unlimited(p.ds.Limits) {
		return t.team.DatasetLimits
	}
	return p.ds.Limits
}

// loadWhole makes chunks of the events that have no answer yet and takes room for all of them, or none.
func (s *Shepherd) loadWhole(t *tenant, parts []part, statuses []Status) []consignment {
	var chunks []consignment
	at := 0
	for i := range parts {
		p := &parts[i]
		mine := statuses[at : at+len(p.events)]
		first := len(chunks)
		if len(mine) > 0 && mine[0].Code == 0 && p.known != nil {
			var shed int64
			if chunks, shed = s.load(t, &p.ds, p.events, mine, chunks); shed > 0 {
				s.turnAway(t, parts, statuses, chunks)
				return nil
			}
			s.directory.LearnEvents(p.ds.ID, p.events)
		}
		for j := first; j < len(chunks); j++ {
			chunks[j].first += at
		}
		at += len(p.events)
	}
	return chunks
}

// turnAway gives back what chunks and their events have taken, since there is no room for the others of their request.
func (s *Shepherd) turnAway(t *tenant, parts []part, statuses []Status, chunks []consignment) {
	for i := range chunks {
		s.release(t, chunks[i].load())
	}
	for i := range parts {
		if p := &parts[i]; p.known != nil {
			s.giveBack(t, p.known, int64(len(p.events)))
		}
	}
	why := Status{Code: Throttled, Error: textShed, Partition: -1, Offset: -1}
	for i := range statuses {
		if statuses[i].Code == Throttled {
			why = statuses[i] // it knows which bound was met
		}
	}
	fillOpen(statuses, why)
}
