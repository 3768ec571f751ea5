package reports

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// TextOptions is what the terminal summary needs beside the evidence. The caller knows whether it writes to a terminal and
// whether colours are wanted there (NO_COLOR, TERM).
type TextOptions struct {
	Width  int           // columns; 0: unbounded, as for a file or a CI log
	Color  bool          // ANSI colours; every colour repeats what a word says
	Report string        // path of report.html; "" if the run was not saved
	Replay string        // command that does the run again; "" stands for [Replay]'s
	Wall   time.Duration // how long the run took on the wall clock; 0 if unknown
}

// Findings shown by the terminal summary for each check that did not pass; the report has more.
const (
	textFindings = 3
	textEvidence = 4
)

// Text writes the summary of a run: the verdict first and last.
func Text(w io.Writer, ev *evidence.Evidence, j *check.Judgement, opts TextOptions) error {
	t := &text{ev: ev, j: j, opts: opts}
	t.verdict(j.Reason)
	t.indent("", t.about())
	if len(ev.Run.Planted) > 0 {
		t.indent("", "!! PLANTED: "+strings.Join(ev.Run.Planted, ", ")+" on. "+plantedNote(j.Verdict))
	}
	if ev.Run.Ended != "" {
		t.indent("", "!! CUT SHORT: "+ev.Run.Ended)
	}
	for _, g := range ev.Gaps {
		t.indent("", "!! MISSING: "+g.What+": "+g.Why)
	}
	if note := machineNote(j); note != "" {
		t.indent("", "!! THIS MACHINE: "+note)
	}
	t.checks()
	t.levels()
	t.events()
	t.latency()
	t.queries()
	t.objectives()
	t.alerts()
	t.faults()
	t.line("")
	if opts.Report != "" {
		t.line("report  " + clean(opts.Report))
	}
	if opts.Replay == "" {
		opts.Replay = Replay(ev)
	}
	t.line("replay  " + clean(opts.Replay))
	t.verdict("")
	_, err := io.WriteString(w, t.b.String())
	return err
}

type text struct {
	ev   *evidence.Evidence
	j    *check.Judgement
	opts TextOptions
	b    strings.Builder
}

// line writes one line as it is: commands and paths are never broken, so that they can be copied.
func (t *text) line(s string) { t.b.WriteString(s + "\n") }

func (t *text) indent(prefix, s string) {
	for _, line := range wrap(prefix+"  "+clean(s), t.opts.Width, prefix+"    ") {
		t.line(line)
	}
}

func (t *text) heading(s string) {
	t.line("")
	for _, line := range wrap(s, t.opts.Width, "") {
		t.line(t.paint(line, "1"))
	}
}

func (t *text) grid(g grid) {
	for _, r := range g.rows {
		for i := range r {
			r[i] = clean(r[i])
		}
	}
	width := t.opts.Width
	if width > 2 {
		width -= 2
	}
	for _, line := range g.lines(width) {
		t.line("  " + t.paintVerdict(line))
	}
}

func (t *text) verdict(reason string) {
	s := strings.ToUpper(t.j.Verdict.String()) + "  " + clean(t.ev.Run.Scenario)
	if reason != "" {
		s += ": " + clean(reason)
	}
	for _, line := range wrap(s, t.opts.Width, "      ") {
		t.line(t.paintVerdict(line))
	}
}

// about is the run in one line: world, seed, how long on its own clock and on ours.
func (t *text) about() string {
	r := t.ev.Run
	s := fmt.Sprintf("world %s, seed %d, %s", r.World, r.Seed, duration(r.Length))
	if r.TraceHash != "" {
		s += " of virtual time"
	}
	if wall := t.opts.Wall; wall > 0 {
		s += fmt.Sprintf(" in %s (%s times real time)", duration(wall), speed(r.Length, wall))
	}
	if r.TraceHash != "" {
		s += ", trace " + r.TraceHash
	}
	return s
}

// plantedNote says how to read the verdict of a run with planted bugs.
func plantedNote(v check.Verdict) string {
	if v == check.Fail {
		return "This run tests the checks, not the pipeline: a failure is what was expected."
	}
	return "This run tests the checks, not the pipeline, and in this run they did not catch it."
}

// speed is how much faster than real time a run was.
func speed(length, wall time.Duration) string {
	times := length.Seconds() / wall.Seconds()
	if times >= 10 {
		return count(int64(times))
	}
	return significant(times)
}

func (t *text) checks() {
	t.heading("CHECKS")
	g := grid{prose: true}
	for _, r := range t.j.Results {
		g.rows = append(g.rows, []string{strings.ToUpper(r.Verdict.String()), r.Name, r.Summary})
	}
	t.grid(g)
	for _, r := range t.j.Results {
		if r.Verdict != check.Pass && len(r.Findings) > 0 {
			t.findings(r)
		}
	}
}

func (t *text) findings(r check.Result) {
	t.line("")
	t.indent("", r.Name)
	shown, rest := bounded(r.Findings, textFindings)
	for _, f := range shown {
		t.indent("  ", "- "+f.Title+findingPlace(f))
		lines, more := bounded(f.Evidence, textEvidence)
		for _, line := range lines {
			t.indent("    ", clip(line, maxLine))
		}
		if len(f.Examples) > 0 {
			t.indent("    ", "such as "+exampleText(f.Examples[0]))
		}
		if more > 0 {
			t.indent("    ", "and "+plural(more, "more line")+" in the report")
		}
	}
	if rest > 0 {
		t.indent("  ", "and "+plural(rest, "more finding")+" in the report")
	}
}

func (t *text) levels() {
	g := grid{numeric: true, head: []string{"stage", "target", "within", "reached", "good", "of", "budget used", ""}}
	several := severalKinds(t.j.Stages)
	if several {
		g.head[0] = "stage, level"
	}
	for _, s := range t.j.Stages {
		for _, slo := range asked(s.SLOs) {
			verdict := strings.ToUpper(slo.Verdict.String())
			if !slo.Judged {
				verdict = "not asked"
			}
			name := string(s.Stage)
			if several {
				name += ", " + levelName(slo)
			}
			g.rows = append(g.rows, []string{name, percent(slo.Target), bound(slo.Within), fraction(slo), count(slo.Good), count(slo.Events), budget(slo), verdict})
		}
	}
	if len(g.rows) > 0 {
		t.heading("SERVICE LEVELS")
		t.grid(g)
	}
}

// levelName is what a service level is about: "ingest", "freshness", "query".
func levelName(slo check.SLO) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(slo.Name, "slo."), "(")
	return name
}

// severalKinds says whether the service levels are about different things.
func severalKinds(stages []check.StageStats) bool {
	kinds := map[string]bool{}
	for _, s := range stages {
		for _, slo := range s.SLOs {
			kinds[levelName(slo)] = true
		}
	}
	return len(kinds) > 1
}

// queries says how the readers fared.
func (t *text) queries() {
	q := t.j.Queries
	if q == nil {
		return
	}
	t.heading("QUERIES, latency from the moment each was to be sent; freshness is the age of the oldest accepted event not yet seen")
	g := grid{numeric: true, head: []string{"phase", "asked", "complete", "partial", "wrong", "failed", "no answer", "p50", "p99", "max", "freshness"}}
	row := func(name string, c check.QueryCounts, l, fresh check.Latency) {
		age := "–"
		if fresh.Events > 0 {
			age = duration(fresh.Max)
		}
		l4 := quantiles(l)
		g.rows = append(g.rows, []string{name, count(c.Asked), count(c.Complete), count(c.Partial), count(c.Wrong), count(c.Failed), count(c.Unanswered), l4[0], l4[1], l4[3], age})
	}
	for _, p := range q.Phases {
		row(p.Phase, p.Counts, p.Latency, p.Freshness)
	}
	row("whole run", q.Total, q.Latency, q.Freshness)
	t.grid(g)
	if q.Total.Unjudged > 0 {
		t.indent("", plural(q.Total.Unjudged, "answer")+" could not be compared with what was sent")
	}
}

func (t *text) events() {
	l := t.j.Ledger
	t.heading("EVENTS")
	g := grid{numeric: true, head: []string{"answers", "offered", "accepted", "throttled", "refused", "malformed", "unknown", "not sent"}}
	row := func(name string, c check.Counts) {
		g.rows = append(g.rows, []string{name, count(c.Offered), count(c.Accepted), count(c.Throttled), count(c.Refused), count(c.Malformed), count(c.Unknown), count(c.NotSent)})
	}
	for _, s := range t.j.Stages {
		row(string(s.Stage), s.Counts)
	}
	row("whole run", l.Counts)
	t.grid(g)
	if !l.Judged {
		t.indent("", "what became of them could not be judged: the evidence does not allow it")
		return
	}
	g = grid{numeric: true, head: []string{"storage", "in Kafka", "held", "lost", "pending", "duplicated", "phantom", "resurrected", "corrupt"}}
	g.rows = [][]string{{"whole run", count(l.InLog), count(l.Held), count(l.Lost), count(l.Pending), count(l.Duplicated), count(l.Phantom), count(l.Resurrected), count(l.Corrupt)}}
	t.grid(g)
	if len(l.Replicas) == 0 {
		return
	}
	parts := []string{}
	for _, r := range l.Replicas {
		parts = append(parts, fmt.Sprintf("%s %s on disk and %s aged to S3", strings.ToLower(replicaName(r.Replica, len(l.Replicas))[:1])+replicaName(r.Replica, len(l.Replicas))[1:], count(r.Local), count(r.Aged)))
	}
	parts = append(parts, "S3 "+count(l.InS3))
	if l.Covered > 0 {
		parts = append(parts, fmt.Sprintf("queries count %s of what was accepted", percent(float64(l.Visible)/float64(l.Covered))))
	}
	t.indent("", "held: "+strings.Join(parts, "; "))
}

func (t *text) latency() {
	g := grid{numeric: true, head: []string{"phase", "stage", "accepted", "p50", "p99", "p99.9", "max"}}
	for _, p := range t.j.Phases {
		row := []string{p.Name, string(p.Stage), count(p.Counts.Accepted)}
		if !p.Ran {
			row[2] = "did not run"
		}
		g.rows = append(g.rows, append(row, quantiles(p.Latency)...))
	}
	if len(g.rows) > 0 {
		t.heading("LATENCY of accepted events, from the moment each was to be sent")
		t.grid(g)
	}
}

// quantiles are p50, p99, p99.9 and max; dashes where there was nothing to measure.
func quantiles(l check.Latency) []string {
	if l.Events == 0 {
		return []string{"–", "–", "–", "–"}
	}
	return []string{duration(l.P50), duration(l.P99), duration(l.P999), duration(l.Max)}
}

func (t *text) faults() {
	if len(t.j.Faults) == 0 {
		return
	}
	t.heading("FAULTS")
	g := grid{prose: true}
	for _, f := range t.j.Faults {
		g.rows = append(g.rows, []string{f.ID, faultName(f), faultStory(f)})
	}
	t.grid(g)
}

func faultName(f check.FaultSpan) string {
	if f.Node == "" {
		return f.Kind
	}
	return f.Kind + " " + f.Node
}

// faultStory tells how a fault went in one sentence.
func faultStory(f check.FaultSpan) string {
	if f.Injected < 0 {
		return "never injected: " + f.Effect
	}
	s := "at " + moment(f.Injected)
	if f.Observed >= 0 {
		s += ", seen " + after(f.Observed, f.Injected) + ": " + f.Effect
	} else {
		s += ", NOT SEEN: " + f.Effect
	}
	switch {
	case f.Healed < 0 && f.Permanent:
		return s + "; permanent"
	case f.Healed < 0:
		return s + "; not healed"
	}
	s += "; healed at " + moment(f.Healed)
	if f.Back >= 0 {
		return s + ", back " + after(f.Back, f.Healed) + ": " + f.Recovery
	}
	return s + ", NOT SEEN BACK: " + f.Recovery
}

// asked are the levels that a stage must meet. What only other stages must meet is left to verdict.json, unless nothing is
// asked of this one: then it shows what would have been.
func asked(all []check.SLO) []check.SLO {
	var judged []check.SLO
	for _, slo := range all {
		if slo.Judged {
			judged = append(judged, slo)
		}
	}
	if len(judged) == 0 {
		return all
	}
	return judged
}

// bound is the latency bound of a good event.
func bound(d time.Duration) string {
	if d <= 0 {
		return "any"
	}
	return duration(d)
}

func fraction(s check.SLO) string {
	if s.Events == 0 {
		return "no data"
	}
	return percent(s.Fraction)
}

// budget is how much of the error budget was used.
func budget(s check.SLO) string {
	switch {
	case s.Events == 0:
		return "–"
	case s.Budget < 0:
		return "beyond measure"
	case s.Budget >= 1000:
		return count(int64(s.Budget)) + " times"
	case s.Budget >= 10:
		return significant(s.Budget) + " times"
	}
	return strconv.FormatFloat(s.Budget*100, 'f', 1, 64) + " %"
}

// clean keeps what scripts and servers wrote from steering the terminal: control characters become spaces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, s)
}

func (t *text) paint(s, code string) string {
	if !t.opts.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// paintVerdict colours the verdict that begins or ends a line. It comes after the layout, which must not count escapes.
func (t *text) paintVerdict(line string) string {
	if !t.opts.Color {
		return line
	}
	for _, v := range []struct{ word, code string }{{"INCONCLUSIVE", "1;33"}, {"FAIL", "1;31"}, {"PASS", "1;32"}} {
		if rest, ok := strings.CutPrefix(line, v.word+" "); ok {
			return t.paint(v.word, v.code) + " " + rest
		}
		if rest, ok := strings.CutSuffix(line, " "+v.word); ok {
			return rest + " " + t.paint(v.word, v.code)
		}
	}
	return line
}
