package reports

import (
	"fmt"

	"github.com/ratel-sim/ratel/scenarios/check"
)

// flow is the picture of events by stage: a bar for each stage of the way, all to one scale, with the stream of what went
// on between them.
type flow struct {
	Bars    []flowBar
	Tiles   []tile
	Judged  bool
	Offered int64
}

type flowBar struct {
	Name   string
	About  string
	Parts  []flowPart
	Stream string // SVG polygon from the main part of this bar to that of the next; "" after the last
	Next   int64  // width of the stream's end, events
}

// flowPart is one piece of a bar. X and W are per cent of all events offered.
type flowPart struct {
	X, W  float64
	Count int64
	Name  string
	Class string // of the style sheet: what kind of outcome it is
	Share string
}

// tile is one figure that should be noticed.
type tile struct {
	Name  string
	Count string
	About string
	Class string // "bad" if it should be zero and is not, "note" if it is worth a look, "" otherwise
}

// leastWidth, in per cent, makes visible what is few: three lost of a million is what a reader came for.
const leastWidth = 0.5

func drawFlow(l check.Ledger) flow {
	f := flow{Judged: l.Judged, Offered: l.Offered}
	f.bar("Offered", "by the schedule of the load", l.Offered,
		flowPart{Name: "offered", Count: l.Offered, Class: "offered"})
	f.bar("Answered", "what the clients were told", l.Offered,
		flowPart{Name: "accepted", Count: l.Accepted, Class: "accepted"},
		flowPart{Name: "unknown", Count: l.Unknown, Class: "unknown"},
		flowPart{Name: "throttled", Count: l.Throttled, Class: "throttled"},
		flowPart{Name: "refused", Count: l.Refused, Class: "refused"},
		flowPart{Name: "malformed", Count: l.Malformed, Class: "refused"},
		flowPart{Name: "not sent", Count: l.NotSent, Class: "notsent"})
	if l.Judged {
		byStage := map[check.LossStage]int64{}
		for _, s := range l.LostByStage {
			byStage[s.Stage] = s.Count
		}
		f.bar("In Kafka", "distinct events in the final log", l.Offered,
			flowPart{Name: "in the log", Count: l.InLog, Class: "accepted"},
			flowPart{Name: "lost in Kafka", Count: byStage[check.LostInKafka], Class: "lost"},
			flowPart{Name: "lost before Kafka", Count: byStage[check.LostBeforeKafka], Class: "lost"},
			flowPart{Name: "lost, log unreadable", Count: byStage[check.LostSomewhere], Class: "lost"})
		if len(l.Replicas) == 0 {
			f.bar("Held", "distinct events that retrievers hold", l.Offered,
				flowPart{Name: "held", Count: l.Held, Class: "accepted"},
				flowPart{Name: "lost on the way, all stages", Count: l.Lost, Class: "lost"},
				flowPart{Name: "pending", Count: l.Pending, Class: "unknown"})
		} else {
			f.stores(l, byStage)
		}
	}
	for i := range f.Bars[:len(f.Bars)-1] {
		a, b := f.Bars[i].Parts, f.Bars[i+1].Parts
		if len(a) > 0 && len(b) > 0 {
			f.Bars[i].Stream = fmt.Sprintf("0,0 %g,0 %g,100 0,100", a[0].W, b[0].W)
		}
	}
	f.tiles(l)
	return f
}

// stores adds what is behind Kafka: each replica's disks, S3, and what queries count.
func (f *flow) stores(l check.Ledger, byStage map[check.LossStage]int64) {
	for _, r := range l.Replicas {
		f.bar(replicaName(r.Replica, len(l.Replicas)), "distinct events, of one retriever a partition", l.Offered,
			flowPart{Name: "on its disk", Count: r.Local, Class: "accepted"},
			flowPart{Name: "aged: in S3 alone", Count: r.Aged, Class: "aged"},
			flowPart{Name: "not there", Count: max(0, l.Held-r.Local-r.Aged), Class: "lost"},
			flowPart{Name: "lost before any retriever", Count: byStage[check.LostBeforeStorage], Class: "lost"})
	}
	f.bar("S3", "distinct events in the segments of the last manifests", l.Offered,
		flowPart{Name: "in S3", Count: l.InS3, Class: "accepted"},
		flowPart{Name: "on disks, not yet in S3", Count: max(0, l.Held-l.InS3-byStage[check.LostBeforeStore]), Class: "aged"},
		flowPart{Name: "should be in S3", Count: byStage[check.LostBeforeStore], Class: "lost"},
		flowPart{Name: "lost on the way, all stages", Count: l.Lost - byStage[check.LostBeforeStore], Class: "lost"},
		flowPart{Name: "pending", Count: l.Pending, Class: "unknown"})
	if l.Covered > 0 {
		counted := int64(float64(l.Accepted)*float64(l.Visible)/float64(l.Covered) + 0.5)
		f.bar("Queried", "of what was accepted, what the last complete answers count", l.Offered,
			flowPart{Name: "counted", Count: counted, Class: "accepted"},
			flowPart{Name: "accepted, and not counted", Count: l.Accepted - counted, Class: "lost"})
	}
}

// replicaName names the retrievers of one replica: A, B, …
func replicaName(replica, replicas int) string {
	if replicas < 2 {
		return "Retrievers"
	}
	return "Retriever " + string(rune('A'+replica))
}

// bar adds a stage. Parts without events are left out.
func (f *flow) bar(name, about string, offered int64, parts ...flowPart) {
	bar := flowBar{Name: name, About: about}
	sum, shown := int64(0), 0
	for _, p := range parts {
		if p.Count > 0 {
			sum += p.Count
			shown++
		}
	}
	// To scale, but nothing that exists is narrower than leastWidth; the rest shares what remains.
	scale := max(sum, offered)
	x := 0.0
	room := 100 - leastWidth*float64(shown)
	for _, p := range parts {
		if p.Count <= 0 {
			continue
		}
		p.X = round(x)
		p.W = round(leastWidth + room*float64(p.Count)/float64(scale))
		p.Share = percent(float64(p.Count) / float64(max(offered, 1)))
		x += p.W
		bar.Parts = append(bar.Parts, p)
	}
	f.Bars = append(f.Bars, bar)
}

func (f *flow) tiles(l check.Ledger) {
	add := func(name string, n int64, class, about string) {
		t := tile{Name: name, Count: count(n), About: about}
		if n > 0 {
			t.Class = class
		}
		if !l.Judged {
			t.Count, t.Class = "?", ""
		}
		f.Tiles = append(f.Tiles, t)
	}
	add("lost", l.Lost, "bad", "accepted and not held")
	add("duplicated", l.Duplicated, "bad", "held more than once")
	add("phantom", l.Phantom, "bad", "stored, never sent")
	add("resurrected", l.Resurrected, "bad", "stored though certainly refused")
	add("corrupt", l.Corrupt, "bad", "stored, not as it was sent")
	add("pending", l.Pending, "note", "accepted, not held, not proven lost")
	add("unknown, kept", l.UnknownKept, "note", "held; the client never learnt it")
	add("copies in Kafka", l.LogCopies, "note", "from retries; retrievers drop them")
}
