package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// maxPoints bounds the points of one line: more than any screen has pixels, and a page stays light however long the run.
const maxPoints = 4000

// maxTableRows bounds the table behind a chart.
const maxTableRows = 120

// chartData is what the page's script draws: the one JSON block of the page.
type chartData struct {
	X      numbers   `json:"x"` // seconds since the start of the run: the middle of each bin
	Length number    `json:"length"`
	Bands  []band    `json:"bands"` // phases and faults, shaded behind every chart
	Charts []chart   `json:"charts"`
	Zooms  []zooming `json:"zooms"`
}

type band struct {
	From number `json:"from"`
	To   number `json:"to"`
	Kind string `json:"kind"` // "phase", of which only the beginning is drawn, or "fault"
}

// zooming is a stretch of the run that a button shows.
type zooming struct {
	Name string `json:"name"`
	From number `json:"from"`
	To   number `json:"to"`
}

type chart struct {
	ID     string      `json:"id"`
	Title  string      `json:"-"`
	Note   string      `json:"-"`
	Unit   string      `json:"unit"` // "/s", "s", "records", ""
	Log    bool        `json:"log"`
	Step   bool        `json:"step"` // samples hold until the next one
	Height int         `json:"height"`
	Lines  []chartLine `json:"lines"`
	Table  chartTable  `json:"-"`
}

type chartLine struct {
	Label  string  `json:"label"`
	Color  string  `json:"color"` // a CSS variable of the style sheet
	Dash   []int   `json:"dash"`
	Width  float64 `json:"width"`
	Values numbers `json:"values"`

	column check.Column
	worst  bool // in the table: of several bins the largest, instead of the mean
}

// chartTable says in figures what a chart draws.
type chartTable struct {
	Note string
	Head []string
	Rows [][]string
}

// number and numbers are written to six significant digits, which is finer than a pixel and half as long.
type number float64

// MarshalJSON implements [json.Marshaler].
func (n number) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(n)), nil }

type numbers []float64

// MarshalJSON implements [json.Marshaler].
func (n numbers) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, v)
	}
	return append(b, ']'), nil
}

func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', 6, 64)
}

// charts arranges the judgement's series. A chart of which no line was measured is left out.
func charts(j *check.Judgement) chartData {
	columns := map[string]check.Column{}
	bins := 0
	for _, c := range j.Series.Columns {
		columns[c.Name] = c
		bins = max(bins, len(c.Values))
	}
	line := func(name, label, color string, width float64, dash ...int) chartLine {
		c := columns[name]
		if dash == nil {
			dash = []int{}
		}
		return chartLine{Label: label, Color: color, Dash: dash, Width: width, column: c}
	}
	worst := func(l chartLine) chartLine { l.worst = true; return l }
	all := []chart{
		{ID: "rates", Title: "Events per second, by answer", Unit: "/s", Height: 240, Lines: []chartLine{
			line("offered", "offered", "--c-offered", 1.5, 6, 4), line("accepted", "accepted", "--c-accepted", 2),
			line("throttled", "throttled", "--c-throttled", 1.5, 2, 3), line("refused", "refused", "--c-refused", 1.5), line("unknown", "unknown", "--c-unknown", 1.5, 8, 3, 2, 3)},
			Note: "Each event counts in the second in which the schedule wanted it sent, whenever its answer came. Unknown: answered 504, or not answered in time; stored or not."},
		{ID: "latency", Title: "Latency of accepted events", Unit: "s", Log: true, Height: 220, Lines: []chartLine{
			worst(line("latency.p50", "p50", "--c-accepted", 1.5)), worst(line("latency.p99", "p99", "--c-throttled", 1.5, 6, 3)), worst(line("latency.max", "max", "--c-refused", 1.5, 2, 3))},
			Note: "From the moment an event was to be sent to its answer, so that waiting behind a slow request counts. Logarithmic."},
		{ID: "kafka", Title: "Kafka: partitions in trouble, live brokers", Step: true, Height: 150, Lines: []chartLine{
			worst(line(evidence.UnderReplicated, "under-replicated", "--c-throttled", 1.5)), worst(line(evidence.BelowMinISR, "below min.insync", "--c-unknown", 1.5, 8, 3, 2, 3)),
			worst(line(evidence.Offline, "without leader", "--c-refused", 2)), line(evidence.BrokersLive, "live brokers", "--c-offered", 1.5, 6, 4)},
			Note: "As a client's metadata shows it, sampled once a second."},
		{ID: "lag", Title: "Backlog: retrievers behind Kafka, requests in flight", Height: 150, Lines: []chartLine{
			worst(line(evidence.RetrieverLag, "retriever lag (records)", "--c-accepted", 1.5)), worst(line(evidence.InFlight, "requests in flight", "--c-throttled", 1.5, 6, 3))},
			Note: "Records between the high watermarks and what retrievers have durably, summed over partitions."},
		{ID: "queries", Title: "Queries, by answer", Unit: "/s", Height: 150, Lines: []chartLine{
			line("query.complete", "complete", "--c-accepted", 2), line("query.partial", "partial", "--c-throttled", 1.5, 6, 3),
			worst(line("query.wrong", "wrong", "--c-refused", 2)), worst(line("query.failed", "failed or unanswered", "--c-unknown", 1.5, 8, 3, 2, 3))},
			Note: "Each query counts in the second in which it was to be sent. Wrong: not what was sent, whether it says that it is complete or not."},
		{ID: "freshness", Title: "Freshness and latency of queries", Unit: "s", Log: true, Height: 150, Lines: []chartLine{
			worst(line("query.freshness", "oldest accepted event not yet seen", "--c-throttled", 1.5)), worst(line("query.latency.max", "slowest answer", "--c-accepted", 1.5, 6, 3))},
			Note: "How old the oldest accepted event was, at the least, that no answer over everything had counted yet; and the slowest answer, from the moment it was to be asked."},
		{ID: "bounds", Title: "Shares of memory bounds", Step: true, Height: 120, Lines: []chartLine{
			worst(line(evidence.InFlightShare, "shepherd, in flight (peak so far)", "--c-accepted", 1.5)), worst(line(evidence.RetrieverMemory, "retriever, not yet sealed", "--c-throttled", 1.5, 6, 3))},
			Note: "The largest of all nodes; 1 is the configured bound."},
		burnChart(j, line),
		{ID: "machine", Title: "The machine under it all", Step: true, Height: 120, Lines: []chartLine{
			worst(line(evidence.MachineCPU, "processor time taken", "--c-accepted", 1.5)), worst(line(evidence.MachineStolen, "of it by other machines (steal)", "--c-refused", 1.5, 2, 3)),
			worst(line(evidence.MachineMemory, "memory in use", "--c-throttled", 1.5, 6, 3))},
			Note: "Parts of what the machine has, by whatever runs on it. Where there was no processor time left, latencies and missed times say as much about the machine as about the pipeline."},
	}
	d := chartData{Charts: []chart{}, Bands: []band{}, Zooms: []zooming{}}
	step := j.Series.Step.Seconds()
	if bins == 0 || step <= 0 {
		return d
	}
	d.X = sampleTimes(bins, step)
	for _, c := range all {
		kept := []chartLine{}
		for _, l := range c.Lines {
			if !measured(l.column.Values) {
				continue
			}
			l.Values = sample(l.column.Values, bins)
			kept = append(kept, l)
		}
		if len(kept) == 0 {
			continue
		}
		c.Lines = kept
		c.Table = tableOf(c, bins, j.Series.Step)
		d.Charts = append(d.Charts, c)
	}
	return d
}

// burnChart draws the burn rate of each guard of the experiment.
func burnChart(j *check.Judgement, line func(name, label, color string, width float64, dash ...int) chartLine) chart {
	styles := []struct {
		color string
		dash  []int
	}{{"--c-accepted", nil}, {"--c-throttled", []int{6, 3}}, {"--c-unknown", []int{8, 3, 2, 3}}, {"--c-refused", []int{2, 3}}}
	c := chart{ID: "burn", Title: "Burn rate of the error budgets that guard the experiment", Step: true, Height: 150,
		Note: "How many times faster than it may each budget burned over its guard's window; beyond its limit the experiment is aborted."}
	for i := range j.Guards {
		g, s := &j.Guards[i], styles[i%len(styles)]
		l := line(check.BurnColumn(i+1), fmt.Sprintf("%s, limit %.3g over %v", g.Name, g.Limit, g.Window), s.color, 1.5, s.dash...)
		l.worst = true
		c.Lines = append(c.Lines, l)
	}
	return c
}

func measured(v check.Values) bool {
	for _, x := range v {
		if !math.IsNaN(x) {
			return true
		}
	}
	return false
}

// group is how many bins share two points of a line.
func group(bins int) int {
	if bins <= maxPoints {
		return 1
	}
	return (bins + maxPoints/2 - 1) / (maxPoints / 2)
}

// sampleTimes are the moments of the points that [sample] keeps.
func sampleTimes(bins int, step float64) numbers {
	k := group(bins)
	if k == 1 {
		x := make(numbers, bins)
		for i := range x {
			x[i] = (float64(i) + 0.5) * step
		}
		return x
	}
	var x numbers
	for i := 0; i < bins; i += k {
		n := float64(min(k, bins-i))
		x = append(x, (float64(i)+n*0.25)*step, (float64(i)+n*0.75)*step)
	}
	return x
}

// sample thins a line to at most maxPoints: of each group of bins it keeps the smallest and the largest value in the order
// in which they came, so that no peak is lost.
func sample(v check.Values, bins int) numbers {
	full := make(check.Values, bins)
	for i := range full {
		full[i] = math.NaN()
	}
	copy(full, v)
	k := group(bins)
	if k == 1 {
		return numbers(full)
	}
	var out numbers
	for i := 0; i < bins; i += k {
		low, high := -1, -1
		for n := i; n < min(i+k, bins); n++ {
			if math.IsNaN(full[n]) {
				continue
			}
			if low < 0 || full[n] < full[low] {
				low = n
			}
			if high < 0 || full[n] > full[high] {
				high = n
			}
		}
		switch {
		case low < 0:
			out = append(out, math.NaN(), math.NaN())
		case low < high:
			out = append(out, full[low], full[high])
		default:
			out = append(out, full[high], full[low])
		}
	}
	return out
}

func tableOf(c chart, bins int, step time.Duration) chartTable {
	per := (bins + maxTableRows - 1) / maxTableRows
	t := chartTable{Head: []string{"from"}}
	anyWorst, means := false, []string(nil)
	for _, l := range c.Lines {
		t.Head = append(t.Head, l.Label)
		if l.worst {
			anyWorst = true
		} else {
			means = append(means, l.Label)
		}
	}
	if per > 1 {
		t.Note = "Each row is " + duration(time.Duration(per)*step)
		switch {
		case anyWorst && len(means) > 0:
			t.Note += ": the largest value in it; of " + strings.Join(means, " and ") + " the mean."
		case anyWorst:
			t.Note += ": the largest value in it."
		default:
			t.Note += ": the mean."
		}
	}
	for i := 0; i < bins; i += per {
		row := []string{duration(time.Duration(i) * step)}
		for _, l := range c.Lines {
			row = append(row, chartValue(c.Unit, summary(l, i, min(i+per, bins))))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// summary is one figure for the bins [from, to).
func summary(l chartLine, from, to int) float64 {
	sum, n, largest := 0.0, 0, math.Inf(-1)
	for i := from; i < min(to, len(l.column.Values)); i++ {
		if v := l.column.Values[i]; !math.IsNaN(v) {
			sum, n, largest = sum+v, n+1, max(largest, v)
		}
	}
	switch {
	case n == 0:
		return math.NaN()
	case l.worst:
		return largest
	}
	return sum / float64(n)
}

func chartValue(unit string, v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case unit == "s":
		return duration(time.Duration(v * float64(time.Second)))
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return count(int64(v))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
