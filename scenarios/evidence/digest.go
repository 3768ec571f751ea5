package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Digests lists the files of a saved run with their digests, as its manifest has them. It does not read the files: [Load] does.
func Digests(dir string) ([]Digest, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	return m.Files, nil
}

// DigestsOf lists what [Save] would write.
func DigestsOf(e *Evidence) ([]Digest, error) {
	if e == nil || e.Plan == nil {
		return nil, fmt.Errorf("digest: the evidence has no plan: this is a defect of Ratel")
	}
	var list []Digest
	for _, name := range files() {
		d, err := digest(io.Discard, name, func(w io.Writer) error { return e.encode(name, w) })
		if err != nil {
			return nil, fmt.Errorf("digest %s: %w", name, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// Difference is where two runs part. Its zero value says that they do not.
type Difference struct {
	File   string // "" if there is none
	Record int    // from 1, in a file of records; 0 in others
	A, B   string // what the two have there; "(nothing)" where one has ended
}

// Found says whether there is a difference.
func (d Difference) Found() bool { return d.File != "" }

// String says where it is and what the two have.
func (d Difference) String() string {
	if !d.Found() {
		return "no difference"
	}
	place := d.File
	if d.Record > 0 {
		place = fmt.Sprintf("%s, record %d", d.File, d.Record)
	}
	return fmt.Sprintf("%s: %s, against %s", place, clip(d.A), clip(d.B))
}

// clip shortens what is shown of a record.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// FirstDifference compares two runs piece by piece and returns the first place at which they differ: the plan first, then
// what happened, what clients saw, what was measured, what was left in the log and held, and what is said about the run.
func FirstDifference(a, b *Evidence) Difference {
	planA, errA := a.Plan.Encode()
	planB, errB := b.Plan.Encode()
	if errA != nil || errB != nil || !bytes.Equal(planA, planB) {
		return firstLine(PlanFile, planA, planB)
	}
	jsonText := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprintf("%+v", v)
		}
		return string(text)
	}
	compare := []func() Difference{
		func() Difference {
			return firstOf(EventsFile, a.Timeline, b.Timeline, func(x, y *Entry) bool {
				p, q := *x, *y
				p.Pos, q.Pos = nil, nil
				samePos := (x.Pos == nil) == (y.Pos == nil) && (x.Pos == nil || *x.Pos == *y.Pos)
				return p == q && samePos
			}, func(e *Entry) string { return jsonText(e) })
		},
		func() Difference { return definedDifference(a, b, jsonText) },
		func() Difference {
			return firstOf(HistoryFile, a.Ops, b.Ops, sameOp, func(o *Op) string { return jsonText(o) })
		},
		func() Difference {
			return firstOf(QueriesFile, a.Queries, b.Queries, func(x, y *Query) bool { return jsonText(x) == jsonText(y) }, func(q *Query) string { return jsonText(q) })
		},
		func() Difference { return alertingDifference(a, b, jsonText) },
		func() Difference {
			return firstOf(MetricsFile, finite(a.Samples), finite(b.Samples), func(x, y *Sample) bool {
				return x.At == y.At && maps.Equal(x.Values, y.Values)
			}, func(s *Sample) string { return jsonText(s) })
		},
		func() Difference {
			return firstOf(TelemetryFile, a.Telemetry, b.Telemetry, sameTelemetry, func(t *Telemetry) string { return jsonText(t) })
		},
		func() Difference {
			return firstOf(CommitsFile, a.Commits, b.Commits, func(x, y *Commit) bool { return sameCommit(x, y) }, func(c *Commit) string { return jsonText(c) })
		},
		func() Difference {
			return firstOf(PlacesFile, a.Places, b.Places, func(x, y *Place) bool { return *x == *y }, func(p *Place) string { return jsonText(p) })
		},
		func() Difference {
			return firstOf(RecordsFile, a.Records, b.Records, func(x, y *Record) bool { return *x == *y }, func(r *Record) string { return jsonText(r) })
		},
		func() Difference {
			return firstOf(LogFile, a.Log, b.Log, func(x, y *LogMark) bool { return *x == *y }, func(m *LogMark) string { return fmt.Sprintf("%+v", *m) })
		},
		func() Difference {
			return firstOf(HeldFile, a.Held, b.Held, func(x, y *HeldMark) bool { return *x == *y }, func(m *HeldMark) string { return fmt.Sprintf("%+v", *m) })
		},
		func() Difference {
			return firstOf(PairsFile, a.Pairs, b.Pairs, func(x, y *PairRange) bool { return *x == *y }, func(p *PairRange) string { return jsonText(p) })
		},
		func() Difference {
			return firstOf(GapsFile, a.Gaps, b.Gaps, func(x, y *Gap) bool { return *x == *y }, func(g *Gap) string { return jsonText(g) })
		},
		func() Difference {
			runA, runB := a.Run.saved(), b.Run.saved()
			if x, y := jsonText(runA), jsonText(runB); x != y {
				return Difference{File: RunFile, A: x, B: y}
			}
			return Difference{}
		},
	}
	for _, piece := range compare {
		if d := piece(); d.Found() {
			return d
		}
	}
	return Difference{}
}

func sameCommit(x, y *Commit) bool {
	return x.At == y.At && x.Partition == y.Partition && x.Generation == y.Generation && x.Next == y.Next && x.Writer == y.Writer &&
		x.Durable == y.Durable && x.Final == y.Final && slices.Equal(x.Absent, y.Absent)
}

func sameOp(x, y *Op) bool {
	if len(x.Parts) != len(y.Parts) {
		return false
	}
	for i := range x.Parts {
		if x.Parts[i] != y.Parts[i] {
			return false
		}
	}
	return x.Traffic == y.Traffic && x.Producer == y.Producer && x.FirstSeq == y.FirstSeq && x.Count == y.Count &&
		x.Dataset == y.Dataset && x.Target == y.Target && x.Intended == y.Intended && x.Sent == y.Sent && x.Done == y.Done &&
		x.Code == y.Code && x.Error == y.Error && x.NotSent == y.NotSent
}

const nothing = "(nothing)"

func firstOf[T any](name string, a, b []T, same func(x, y *T) bool, show func(*T) string) Difference {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return Difference{File: name, Record: i + 1, A: nothing, B: show(&b[i])}
		case i >= len(b):
			return Difference{File: name, Record: i + 1, A: show(&a[i]), B: nothing}
		case !same(&a[i], &b[i]):
			return Difference{File: name, Record: i + 1, A: show(&a[i]), B: show(&b[i])}
		}
	}
	return Difference{}
}

// firstLine finds the first line at which two texts differ.
func firstLine(name string, a, b []byte) Difference {
	linesA, linesB := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	d := firstOf(name, linesA, linesB, func(x, y *[]byte) bool { return bytes.Equal(*x, *y) }, func(l *[]byte) string { return string(bytes.TrimSpace(*l)) })
	if !d.Found() { // neither could be encoded
		return Difference{File: name, A: "(cannot be written)", B: "(cannot be written)"}
	}
	return d
}
