package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// poll calls look until it says that it has seen what it looks for, ctx ends or the deadline passes. It returns what look
// said last. How long it took is for the timeline to tell, which stamps every observation.
func (r *run) poll(ctx context.Context, deadline time.Duration, look func(ctx context.Context) (how string, seen bool)) (string, bool) {
	rtm := r.w.Runtime()
	began := rtm.Now()
	ctx, cancel := rtm.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		how, seen := look(ctx)
		if seen {
			return how, true
		}
		if rtm.Now().Sub(began) >= deadline || rtm.Sleep(ctx, effectPollPeriod) != nil {
			return how, false
		}
	}
}

// reached says how a node answered, and in detail unless that says no more.
func reached(node string, reach system.Reach, detail string) string {
	if detail == "" || reach == system.Refuses && detail == "connection refused" {
		return fmt.Sprintf("%s %s", node, reach)
	}
	return fmt.Sprintf("%s %s: %s", node, reach, detail)
}

// effect waits for a fault to show as somebody who asks the node sees it.
func (r *run) effect(ctx context.Context, f system.Fault) (how string, seen bool) {
	var look func(ctx context.Context) (string, bool)
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		look = func(ctx context.Context) (string, bool) {
			reach, detail := r.w.Probe(ctx, f.Node)
			return reached(f.Node, reach, detail), reach == system.Refuses
		}
	case system.FaultPause:
		look = func(ctx context.Context) (string, bool) {
			reach, detail := r.w.Probe(ctx, f.Node)
			return reached(f.Node, reach, detail), reach == system.Silent
		}
	case system.FaultIsolate:
		look = func(ctx context.Context) (string, bool) {
			n, err := r.w.Dropped(ctx, f)
			if err != nil {
				return fmt.Sprintf("what was dropped around %s could not be counted: %v", f.Node, err), false
			}
			return fmt.Sprintf("%d packets between %s and %v were dropped", n, f.Node, f.From), n > 0
		}
	case system.FaultErrors, system.FaultSlow:
		look = func(ctx context.Context) (string, bool) {
			n, err := r.w.Dropped(ctx, f)
			if err != nil {
				return fmt.Sprintf("how many requests of %s were disturbed could not be counted: %v", f.Node, err), false
			}
			return fmt.Sprintf("%d requests to %s were disturbed", n, f.Node), n > 0
		}
	case system.FaultStarve:
		look = r.starving(f)
	case system.FaultRecreate:
		return "the catalog has the dataset under a new ID", true
	case system.FaultPoison:
		return "Kafka has acknowledged every record of it", true
	}
	how, seen = r.poll(ctx, effectDeadline, look)
	if !seen {
		return fmt.Sprintf("no effect of %q within %v: %s", f, effectDeadline, how), false
	}
	return how, true
}

// starving looks for what tells a sick process from a dead one: it kept somebody waiting, and has answered since.
func (r *run) starving(f system.Fault) func(ctx context.Context) (string, bool) {
	rtm := r.w.Runtime()
	slow := time.Duration(-1)
	return func(ctx context.Context) (string, bool) {
		turns, err := r.w.Dropped(ctx, f)
		if err != nil {
			return fmt.Sprintf("how often %s was frozen could not be counted: %v", f.Node, err), false
		}
		began := rtm.Now()
		reach, detail := r.w.Probe(ctx, f.Node)
		took := rtm.Now().Sub(began)
		if reach != system.Refuses && took >= f.Delay/4 {
			slow = max(slow, took)
		}
		how := fmt.Sprintf("frozen %d times; %s", turns, reached(f.Node, reach, detail))
		if slow < 0 {
			return how, false
		}
		return fmt.Sprintf("%s; an asker waited %v before", how, slow.Round(time.Millisecond)), reach == system.Answers && turns > 0
	}
}

// healed waits for a node to answer again; one that was starved has to do so several times in a row, promptly.
func (r *run) healed(ctx context.Context, f system.Fault) (how string, seen bool) {
	rtm, prompt, want := r.w.Runtime(), 0, 1
	if f.Kind == system.FaultStarve {
		want = promptAnswers
	}
	how, seen = r.poll(ctx, recoverDeadline, func(ctx context.Context) (string, bool) {
		began := rtm.Now()
		reach, detail := r.w.Probe(ctx, f.Node)
		if prompt++; reach != system.Answers || f.Kind == system.FaultStarve && rtm.Now().Sub(began) >= f.Delay/2 {
			prompt = 0
		}
		return reached(f.Node, reach, detail), prompt >= want
	})
	if !seen {
		return fmt.Sprintf("%s is not back within %v: %s", f.Node, recoverDeadline, how), false
	}
	return how, true
}

// describe asks for the events topic's partitions, with a deadline of its own.
func (r *run) describe(ctx context.Context) ([]port.PartitionState, error) {
	ctx, cancel := r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	return r.w.Log().Admin().Describe(ctx, system.EventsTopic)
}

// ledBy lists the partitions that a broker leads now; none for other nodes, or when it cannot be found out.
func (r *run) ledBy(ctx context.Context, node string) []int32 {
	n, ok := r.p.System.Node(node)
	if !ok || n.Role != system.RoleKafka {
		return nil
	}
	parts, err := r.describe(ctx)
	if err != nil {
		return nil
	}
	var led []int32
	for _, p := range parts {
		if p.Leader == int32(n.Number) {
			led = append(led, p.Partition)
		}
	}
	return led
}

// leadershipMoved waits until every partition that the broker led has another leader, and says so; empty if that was not
// seen, which is no failure: a fault can be healed before anybody took over.
func (r *run) leadershipMoved(ctx context.Context, node string, led []int32) string {
	if len(led) == 0 {
		return ""
	}
	n, _ := r.p.System.Node(node)
	how, seen := r.poll(ctx, effectDeadline, func(ctx context.Context) (string, bool) {
		parts, err := r.describe(ctx)
		if err != nil {
			return "", false
		}
		var moved []string
		for _, p := range led {
			if int(p) >= len(parts) || parts[p].Leader < 0 || parts[p].Leader == int32(n.Number) {
				return "", false
			}
			moved = append(moved, fmt.Sprintf("%s/%d→%s", system.EventsTopic, p, system.NodeName(system.RoleKafka, int(parts[p].Leader))))
		}
		return strings.Join(moved, ", "), true
	})
	if !seen {
		return ""
	}
	return fmt.Sprintf("leaders moved from %s: %s", node, how)
}

// sampler measures the system once a period.
type sampler struct {
	r    *run
	ends [][]int64         // of the last samples, oldest first: where each partition ends
	used system.MachineUse // as of the last sample that has it
}

// shareOver is over how many samples a partition's share of the load is told.
const shareOver = 5

func newSampler(r *run) *sampler { return &sampler{r: r} }

func (s *sampler) run(ctx context.Context) {
	rtm := s.r.w.Runtime()
	next := s.r.rec.now()
	for {
		s.sample(ctx)
		s.r.progress("", "")
		now := s.r.rec.now()
		for next <= now { // a moment that was missed is not measured late
			next += samplePeriod
		}
		if rtm.Sleep(ctx, next-now) != nil {
			return
		}
	}
}

// sample measures once. What cannot be measured within the deadline is left out.
func (s *sampler) sample(ctx context.Context) {
	ctx, cancel := s.r.w.Runtime().WithTimeout(ctx, sampleDeadline)
	defer cancel()
	values := map[string]float64{}
	if parts, err := s.r.w.Log().Admin().Describe(ctx, system.EventsTopic); err == nil {
		var under, offline, below float64
		for _, p := range parts {
			if len(p.ISR) < len(p.Replicas) {
				under++
			}
			if p.Leader < 0 {
				offline++
			}
			if len(p.ISR) < s.r.p.System.Kafka.MinISR {
				below++
			}
		}
		values[evidence.UnderReplicated], values[evidence.Offline], values[evidence.BelowMinISR] = under, offline, below
	}
	if brokers, err := s.r.w.Log().Admin().Brokers(ctx); err == nil {
		values[evidence.BrokersLive] = float64(len(brokers))
	}
	s.retrievers(ctx, values)
	s.shepherds(ctx, values)
	s.beagles(ctx, values)
	if s.r.p.System.Observed() {
		taken, refused := s.r.told.counts()
		values[evidence.ObserverTaken], values[evidence.ObserverRefused] = float64(taken), float64(refused)
	}
	_, _, _, inFlight := s.r.load.Counts()
	values[evidence.InFlight] = float64(inFlight)
	s.machine(ctx, values)
	s.r.rec.sample(values)
}

// machine measures what the machine under the world did since the last sample.
func (s *sampler) machine(ctx context.Context, values map[string]float64) {
	use, ok := s.r.w.Machine(ctx)
	if !ok {
		return
	}
	before := s.used
	s.used = use
	if use.Memory > 0 {
		values[evidence.MachineMemory] = 1 - float64(use.Available)/float64(use.Memory)
	}
	all := use.All - before.All
	if before.All == 0 || all <= 0 {
		return
	}
	share := func(d time.Duration) float64 { return min(max(d.Seconds()/all.Seconds(), 0), 1) }
	values[evidence.MachineCPU] = 1 - share(use.Idle-before.Idle)
	values[evidence.MachineStolen] = share(use.Stolen - before.Stolen)
}

// retrievers asks every retriever how it is. How far they are behind is unknown if one of them does not answer.
func (s *sampler) retrievers(ctx context.Context, values map[string]float64) {
	t := s.r.topology()
	var lag, local, memory float64
	asked, whole := 0, true
	ends := make([]int64, t.Kafka.Partitions)
	for p := range t.Kafka.Partitions {
		for _, name := range t.Retrievers(p) {
			st, err := s.r.w.Holder(name).Status(ctx)
			if err != nil {
				whole = false
				continue
			}
			asked++
			ends[p] = max(ends[p], st.HighWater)
			lag += float64(max(0, st.HighWater-st.Durable))
			local = max(local, float64(st.LocalBytes))
			memory = max(memory, float64(st.MemBytes)/float64(max(t.Retriever.MaxMemoryBytes, 1)))
		}
	}
	if whole {
		values[evidence.RetrieverLag] = lag
		s.shares(ends, values)
	}
	if asked > 0 {
		values[evidence.RetrieverLocal], values[evidence.RetrieverMemory] = local, memory
	}
}

// shares tells how uneven the partitions' load was lately; a partition that was added meanwhile began with nothing.
func (s *sampler) shares(ends []int64, values map[string]float64) {
	s.ends = append(s.ends, ends)
	if len(s.ends) <= shareOver {
		return
	}
	before := s.ends[0]
	s.ends = s.ends[1:]
	var most, all int64
	for p, end := range ends {
		if p < len(before) {
			end -= before[p]
		}
		end = max(end, 0)
		most, all = max(most, end), all+end
	}
	if all > 0 {
		values[evidence.BusiestShare] = float64(most) / float64(all)
	}
}

// beagles asks the catalog how far counting is. A partition without progress is counted from its start.
func (s *sampler) beagles(ctx context.Context, values map[string]float64) {
	t := s.r.topology()
	if t.Beagles == 0 {
		return
	}
	rows, err := s.r.w.Catalog().ProgressOf(ctx, countingConsumer, system.EventsTopic)
	if err != nil {
		return
	}
	next := map[int32]int64{}
	for _, row := range rows {
		next[row.Partition] = row.Next
	}
	work(rows, t.Beagles, values)
	var lag float64
	for p := range t.Kafka.Partitions {
		_, high, err := s.r.w.Log().Admin().Offsets(ctx, system.EventsTopic, p)
		if err != nil {
			return
		}
		lag += float64(max(0, high-next[p]))
	}
	values[evidence.BeagleLag] = lag
}

// work says how evenly the partitions' counting is shared by the workers, by who marked each one's progress last. As long as
// nobody has marked anything it is not known.
func work(rows []port.Progress, workers int, values map[string]float64) {
	by, busiest := map[string]int{}, 0
	for _, row := range rows {
		by[row.By]++
		busiest = max(busiest, by[row.By])
	}
	if len(rows) > 0 {
		values[evidence.BeagleIdle] = float64(max(0, workers-len(by)))
		values[evidence.BeagleBusiest] = float64(busiest) / float64(len(rows))
	}
}

// shepherds asks every shepherd for the largest share of its bounds that was ever in use.
func (s *sampler) shepherds(ctx context.Context, values map[string]float64) {
	share, asked := 0.0, 0
	for i := range s.r.p.System.Shepherds {
		h, err := s.r.w.ShepherdHealth(ctx, system.NodeName(system.RoleShepherd, i+1))
		if err != nil {
			continue
		}
		asked++
		share = max(share, float64(h.PeakBytes)/float64(max(h.MaxInFlightBytes, 1)), float64(h.PeakEvents)/float64(max(h.MaxInFlightEvents, 1)))
	}
	if asked > 0 {
		values[evidence.InFlightShare] = share
	}
}
