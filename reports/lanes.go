package reports

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// Bounds of the picture of lanes; the tables below it and verdict.json have more.
const (
	maxFaultLanes = 24
	maxEventLanes = 12
	laneTicks     = 400 // announcements closer than this share of the run are one tick
)

// Geometry in pixels. Across, everything is in per cent of the run, so that the lanes stretch with the page.
const (
	laneTop    = 26 // phases
	laneHeight = 24
	tickHeight = 20
)

// lanes is the picture above the charts: phases, then a lane for each fault, then one for each kind of announcement.
type lanes struct {
	Height int
	Phases []lanePhase
	Faults []laneFault
	Events []laneEvents
	Hidden string // what did not fit
}

type lanePhase struct {
	X, W  float64
	Name  string
	Stage string
}

type laneFault struct {
	Y            int
	Label        string
	Kind         string
	X, W         float64 // from injection to healing
	BackX, BackW float64 // from healing until the node was seen back
	OverX, OverW float64 // from then until the system had recovered
	Seen         float64 // where the effect was observed; negative if it never was
	TextX        float64
	TextEnd      bool // the text ends at TextX instead of beginning there
	Never        bool // it was never injected
	Title        string
}

type laneEvents struct {
	Y     int
	Label string
	Ticks []laneTick
}

type laneTick struct {
	X     float64
	Title string
}

// drawLanes arranges the lanes of a run of the given length.
func drawLanes(ev *evidence.Evidence, j *check.Judgement, length time.Duration) lanes {
	l := lanes{Height: laneTop}
	at := func(t time.Duration) float64 {
		if length <= 0 {
			return 0
		}
		return round(100 * float64(min(max(t, 0), length)) / float64(length))
	}
	for _, p := range j.Phases {
		if p.Ran {
			l.Phases = append(l.Phases, lanePhase{X: at(p.Begin), W: round(at(p.End) - at(p.Begin)), Name: p.Name, Stage: string(p.Stage)})
		}
	}
	shown, hidden := bounded(j.Faults, maxFaultLanes)
	for _, f := range shown {
		l.Faults = append(l.Faults, drawFault(f, l.Height, length, at))
		l.Height += laneHeight
	}
	if hidden > 0 {
		l.Hidden = plural(hidden, "more fault") + " in the table of faults. "
	}
	l.events(ev, at)
	return l
}

func drawFault(f check.FaultSpan, y int, length time.Duration, at func(time.Duration) float64) laneFault {
	lane := laneFault{Y: y, Label: f.Node, Kind: f.Kind, Seen: -1, Title: f.ID + ": " + f.Detail + ". " + faultStory(f)}
	if lane.Label == "" {
		lane.Label = f.ID
	}
	if f.Injected < 0 {
		lane.Never = true
		return lane
	}
	until := length
	if f.Healed >= 0 {
		until = f.Healed
	}
	lane.X = at(f.Injected)
	lane.W = round(max(at(until)-lane.X, 0.2))
	if f.Observed >= 0 {
		lane.Seen = at(f.Observed)
	}
	end := until
	if f.Healed >= 0 {
		end = length
		if f.Back >= 0 {
			end = f.Back
		}
		lane.BackX, lane.BackW = at(until), round(at(end)-at(until))
	}
	if f.Over > end {
		lane.OverX, lane.OverW = at(end), round(at(f.Over)-at(end))
		end = f.Over
	}
	lane.TextX = at(end)
	if lane.TextX > 80 {
		lane.TextX, lane.TextEnd = lane.X, true
	}
	return lane
}

// events adds a lane for each kind of announcement, most telling kinds first.
func (l *lanes) events(ev *evidence.Evidence, at func(time.Duration) float64) {
	type tick struct {
		slot  int
		n     int
		title string
	}
	kinds := []string{}
	ticks := map[string][]tick{}
	for _, e := range ev.Timeline {
		switch e.Kind {
		case evidence.Announced:
			if isRoutine(&e) {
				continue
			}
		case evidence.StepBegan, evidence.StepDone, evidence.StepFailed:
			e.Event = "runbook"
		default:
			continue
		}
		known, ok := ticks[e.Event]
		if !ok {
			kinds = append(kinds, e.Event)
		}
		slot := int(at(e.At) / 100 * laneTicks)
		if n := len(known); n > 0 && known[n-1].slot == slot {
			known[n-1].n++
			continue
		}
		ticks[e.Event] = append(known, tick{slot: slot, n: 1, title: moment(e.At) + " " + e.Node + " " + clip(e.Detail, 200)})
	}
	slices.Sort(kinds)
	slices.SortStableFunc(kinds, func(a, b string) int { return announcementRank(a) - announcementRank(b) })
	shown, hidden := bounded(kinds, maxEventLanes)
	for _, kind := range shown {
		lane := laneEvents{Y: l.Height, Label: kind}
		for _, t := range ticks[kind] {
			title := t.title
			if t.n > 1 {
				title += fmt.Sprintf(" (and %d more within %s of the run)", t.n-1, percent(1.0/laneTicks))
			}
			lane.Ticks = append(lane.Ticks, laneTick{X: round(float64(t.slot) * 100 / laneTicks), Title: title})
		}
		l.Events = append(l.Events, lane)
		l.Height += tickHeight
	}
	if hidden > 0 {
		l.Hidden += plural(hidden, "more kind") + " of announcements in the timeline."
	}
}

// round keeps four decimals: enough for a pixel, and the same text on every machine.
func round(v float64) float64 { return float64(int64(v*10000+0.5)) / 10000 }
