package check

import (
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// Latencies are packed with their number of events into one word, so that sorting them is sorting integers.
const (
	weightBits = 14 // plan.MaxBatchEvents fits
	maxLatency = 1<<(63-weightBits) - 1
)

func pack(latency time.Duration, n int64) uint64 {
	return uint64(min(max(latency, 0), maxLatency))<<weightBits | uint64(n)
}

func unpack(w uint64) (time.Duration, int64) {
	return time.Duration(w >> weightBits), int64(w & (1<<weightBits - 1))
}

// distribution sums up packed latencies. It sorts them.
func distribution(list []uint64) Latency {
	slices.Sort(list)
	var l Latency
	sum := 0.0
	for _, w := range list {
		latency, n := unpack(w)
		l.Events += n
		sum += float64(latency) * float64(n)
		l.Max = latency
	}
	if l.Events == 0 {
		return Latency{}
	}
	l.Mean = time.Duration(sum / float64(l.Events))
	quantiles := []struct {
		share float64
		at    *time.Duration
	}{{0.5, &l.P50}, {0.9, &l.P90}, {0.95, &l.P95}, {0.99, &l.P99}, {0.999, &l.P999}}
	seen, next := int64(0), 0
	for _, w := range list {
		latency, n := unpack(w)
		seen += n
		for next < len(quantiles) && seen >= rank(quantiles[next].share, l.Events) {
			*quantiles[next].at = latency
			next++
		}
		if next == len(quantiles) {
			break
		}
	}
	return l
}

// rank is how many of n events a quantile must reach. The small step down undoes what share·n is too large by for
// being in binary.
func rank(share float64, n int64) int64 {
	return max(1, int64(math.Ceil(share*float64(n)-1e-6)))
}

// maxBins bounds the series; longer runs get wider bins.
const maxBins = 3600

// collector counts events and latencies by phase and by moment.
type collector struct {
	r         *run
	total     Counts
	phases    []PhaseStats
	latencies [][]uint64 // by phase
	step      time.Duration
	bins      []Counts
	binned    []binned
	phase     int // of the operation at hand
	bin       int
	latency   time.Duration
}

type binned struct {
	bin  int32
	word uint64
}

func newCollector(r *run) *collector {
	c := &collector{r: r, step: time.Second}
	end := r.e.Run.Length
	for i := range r.phases {
		end = max(end, r.phases[i].end)
	}
	end = min(end, plan.MaxLength)
	for end/c.step >= maxBins {
		c.step *= 2
	}
	c.bins = make([]Counts, max(0, int((end+c.step-1)/c.step)))
	c.phases = make([]PhaseStats, len(r.phases))
	c.latencies = make([][]uint64, len(r.phases))
	for i := range r.phases {
		p := &r.phases[i]
		c.phases[i] = PhaseStats{Name: p.Name, Stage: p.Stage, Ran: p.ran, Begin: p.begin, End: p.end, Machine: r.machine(p.begin, p.end), Pos: p.Pos}
	}
	c.binned = make([]binned, 0, len(r.e.Ops))
	return c
}

func (c *collector) begin(o *evidence.Op, phase int) {
	c.phase = phase
	c.bin = -1
	if o.Intended >= 0 && int(o.Intended/c.step) < len(c.bins) {
		c.bin = int(o.Intended / c.step)
	}
	c.latency = o.Done - o.Intended
}

func (c *collector) count(_ *evidence.Op, out outcome, n int64) {
	c.total.add(out, n)
	if c.bin >= 0 {
		c.bins[c.bin].add(out, n)
	}
	if c.phase >= 0 {
		c.phases[c.phase].Counts.add(out, n)
	}
	if out != wasAccepted {
		return
	}
	w := pack(c.latency, n)
	if c.phase >= 0 {
		c.latencies[c.phase] = append(c.latencies[c.phase], w)
	}
	if c.bin >= 0 {
		c.binned = append(c.binned, binned{int32(c.bin), w})
	}
}

// stats sums up.
func (c *collector) stats() stats {
	s := stats{phases: c.phases, stages: []StageStats{}}
	for i := range c.phases {
		c.phases[i].Latency = distribution(c.latencies[i])
	}
	for _, stage := range []plan.Stage{plan.Before, plan.During, plan.After} {
		st := StageStats{Stage: stage, SLOs: []SLO{}}
		var all []uint64
		found := 0
		for i := range c.phases {
			if c.phases[i].Stage != stage {
				continue
			}
			if found++; found == 1 {
				st.Latency = c.phases[i].Latency
			}
			st.Counts.merge(c.phases[i].Counts)
			all = append(all, c.latencies[i]...)
		}
		if found > 1 {
			st.Latency = distribution(all)
		}
		if found > 0 {
			s.stages = append(s.stages, st)
		}
	}
	s.series = c.series()
	return s
}

// series makes the columns of the report.
func (c *collector) series() Series {
	n := len(c.bins)
	columns := make([]Values, 8)
	cells := make([]float64, len(columns)*n)
	for i := range columns {
		columns[i] = cells[i*n : (i+1)*n : (i+1)*n]
	}
	perSecond := 1 / c.step.Seconds()
	for i := range c.bins {
		b := &c.bins[i]
		for k, v := range []int64{b.Offered, b.Accepted, b.Throttled, b.Refused + b.Malformed + b.NotSent, b.Unknown} {
			columns[k][i] = float64(v) * perSecond
		}
		columns[5][i], columns[6][i], columns[7][i] = math.NaN(), math.NaN(), math.NaN()
	}
	for i, list := range c.byBin() {
		if len(list) > 0 {
			l := distribution(list)
			columns[5][i], columns[6][i], columns[7][i] = l.P50.Seconds(), l.P99.Seconds(), l.Max.Seconds()
		}
	}
	s := Series{Step: c.step, Columns: []Column{}}
	for i, name := range []string{"offered", "accepted", "throttled", "refused", "unknown", "latency.p50", "latency.p99", "latency.max"} {
		unit := "events/s"
		if i >= 5 {
			unit = "s"
		}
		s.Columns = append(s.Columns, Column{Name: name, Unit: unit, Values: columns[i]})
	}
	for _, m := range append(slices.DeleteFunc(plan.Metrics(), func(m plan.Metric) bool { return !m.Sampled }), machineMetrics()...) {
		col := Column{Name: m.Name, Unit: string(m.Unit), Values: make(Values, n)}
		for i := range col.Values {
			col.Values[i] = math.NaN()
		}
		some := false
		for _, sample := range c.r.samples {
			v, ok := sample.Values[m.Name]
			if ok && sample.At >= 0 && int(sample.At/c.step) < n {
				col.Values[sample.At/c.step], some = v, true
			}
		}
		if some {
			s.Columns = append(s.Columns, col)
		}
	}
	return s
}

// byBin groups the packed latencies by bin.
func (c *collector) byBin() [][]uint64 {
	sizes := make([]int, len(c.bins))
	for _, b := range c.binned {
		sizes[b.bin]++
	}
	words := make([]uint64, len(c.binned))
	groups := make([][]uint64, len(c.bins))
	at := 0
	for i, n := range sizes {
		groups[i] = words[at:at:(at + n)]
		at += n
	}
	for _, b := range c.binned {
		groups[b.bin] = append(groups[b.bin], b.word)
	}
	return groups
}
