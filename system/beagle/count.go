package beagle

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
)

// secondsPerMinute is the length of what counts are kept for.
const secondsPerMinute = 60

// record counts one Kafka record. An error leaves everything as it was, so that the record can be read again.
func (p *partition) record(ctx context.Context, rec *port.Fetched) error {
	if rec.Offset < p.next {
		return nil // from before the offset asked for
	}
	if rec.Offset > p.next {
		p.missed(rec.Offset, "the log has no records there")
	}
	c, err := p.decoder.Borrow(rec.Value)
	if err != nil {
		if p.b.bugs.Has(planted.PoisonRecord) {
			return err
		}
		if !p.b.bugs.Has(planted.SkipsInSilence) {
			p.announce(port.EventRecordSkipped, fmt.Sprintf("offset %d: %v", rec.Offset, err))
			p.totals.Skipped++
		}
		p.next = rec.Offset + 1
		return nil
	}
	if len(c.Events) == 0 { // a mark of a retriever whose partition idles
		p.totals.Records++
		p.next = rec.Offset + 1
		return nil
	}
	ds, err := p.b.objectives.of(ctx, c.Dataset.ID)
	if err != nil {
		return err
	}
	p.totals.Records++
	p.tellCount(rec, c)
	p.count(rec.Offset, c.Events, ds)
	p.next = rec.Offset + 1
	return nil
}

// count adds events to what is gathered, each with as many as its sample rate says that it stands for. An event whose SLI is
// neither true nor false is not relevant.
func (p *partition) count(offset int64, events []event.Event, ds *dataset) {
	p.seen.at(offset)
	byArrival, unweighed := p.b.bugs.Has(planted.SLOByProcessingTime), p.b.bugs.Has(planted.SampleRatesIgnored)
	p.gathered.events += len(events)
	for i := range events {
		e := &events[i]
		if !p.seen.add(offset, e.ID) {
			p.totals.Duplicates++
			continue
		}
		p.totals.Events++
		if ds.gone {
			p.totals.Unknown++
			continue
		}
		counted := false
		minute := minuteOf(e.Time)
		if byArrival {
			minute = minuteOf(p.b.r.Now())
		}
		weight := event.Weight(e.SampleRate)
		if unweighed {
			weight = 1
		}
		for j := range ds.slos {
			if good, relevant := expr.Good(ds.slos[j].sli.Event(e)); relevant {
				p.gathered.add(j, ds.slos[j].id, minute, good, weight)
				counted = true
			}
		}
		if counted {
			p.totals.Counted++
		}
	}
}

// minuteOf is the Unix time of a minute's start.
func minuteOf(t time.Time) int64 {
	s := t.Unix()
	into := s % secondsPerMinute
	if into < 0 {
		into += secondsPerMinute
	}
	if s < math.MinInt64+into {
		return s + (secondsPerMinute - into) // there is no earlier one
	}
	return s - into
}

// gathered is what was counted and is not committed yet.
type gathered struct {
	events int // that were read
	rows   []port.SLOCount
	index  map[place]int32 // places in rows
	// recent is the row that the SLO at a place in its dataset's list was counted in last. Events of one minute mostly
	// come together.
	recent []int32
}

type place struct{ slo, minute int64 }

// add counts events of a minute for the SLO at the place nth of its dataset's list.
func (g *gathered) add(nth int, slo, minute int64, good bool, events int64) {
	for nth >= len(g.recent) {
		g.recent = append(g.recent, 0)
	}
	at := g.recent[nth]
	if int(at) >= len(g.rows) || g.rows[at].SLO != slo || g.rows[at].Minute != minute {
		at = g.row(place{slo, minute})
		g.recent[nth] = at
	}
	n := port.SLOCount{Total: events}
	if good {
		n.Good = events
	}
	g.rows[at].Add(n)
}

func (g *gathered) row(key place) int32 {
	at, there := g.index[key]
	if !there {
		if g.index == nil {
			g.index = map[place]int32{}
		}
		at = int32(len(g.rows))
		g.rows = append(g.rows, port.SLOCount{SLO: key.slo, Minute: key.minute})
		g.index[key] = at
	}
	return at
}

// counts are the rows in the order in which they are committed.
func (g *gathered) counts() []port.SLOCount {
	rows := slices.Clone(g.rows)
	slices.SortFunc(rows, func(a, b port.SLOCount) int {
		return cmp.Or(cmp.Compare(a.SLO, b.SLO), cmp.Compare(a.Minute, b.Minute))
	})
	return rows
}

func (g *gathered) clear() {
	g.events, g.rows = 0, g.rows[:0]
	clear(g.index)
}
