package check

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// interval is a time in which something was so, both ends included.
type interval struct{ from, to time.Duration }

func (s interval) overlaps(from, to time.Duration) bool { return s.from <= to && from <= s.to }

// forever is the end of what did not end.
const forever = time.Duration(1<<63 - 1)

// disturbances are the stretches in which a fault was active or being recovered from, in order of their beginning.
func (r *run) disturbances() []interval {
	var list []interval
	for i := range r.faults {
		f := &r.faults[i]
		if f.Injected == None || f.Kind == string(system.FaultRecreate) || f.Kind == string(system.FaultPoison) {
			continue
		}
		list = append(list, interval{f.Injected, r.endOf(f)})
	}
	slices.SortFunc(list, func(a, b interval) int { return int(min(max(a.from-b.from, -1), 1)) })
	return list
}

// endOf is when the system was over a fault; forever if it never was.
func (r *run) endOf(f *FaultSpan) time.Duration {
	if f.Healed == None {
		return forever
	}
	return max(f.Over, f.until(forever))
}

// outages are the stretches in which so much was away that alerting cannot be expected to go on: MySQL or S3 (also slow or
// with errors), the majority of ZooKeeper, more brokers than a write can do without, all trigger workers, all query nodes, or
// all retrievers of a partition. While less is away, it has to.
func (r *run) outages() []interval {
	var edges []time.Duration
	down := map[string][]interval{}
	for i := range r.faults {
		f := &r.faults[i]
		if f.Injected == None || f.Node == "" || f.Kind == string(system.FaultRecreate) {
			continue
		}
		s := interval{f.Injected, r.endOf(f)}
		down[f.Node] = append(down[f.Node], s)
		edges = append(edges, s.from)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var list []interval
	for _, at := range edges {
		until := forever
		away := map[string]bool{}
		for node, spans := range down {
			for _, s := range spans {
				if s.overlaps(at, at) {
					away[node] = true
					until = min(until, s.to)
				}
			}
		}
		if r.crippled(away) {
			list = append(list, interval{at, until})
		}
	}
	// Where a node comes back while enough of the others are still away, the outage goes on.
	for i := 0; i < len(list) && len(list) < 4*len(edges)+4; i++ {
		end := list[i].to
		if end == forever {
			continue
		}
		away, until := map[string]bool{}, forever
		for node, spans := range down {
			for _, s := range spans {
				if s.overlaps(end+1, end+1) {
					away[node] = true
					until = min(until, s.to)
				}
			}
		}
		if r.crippled(away) {
			list = append(list, interval{end + 1, until})
		}
	}
	return list
}

// crippled says whether alerting cannot go on without these nodes.
func (r *run) crippled(away map[string]bool) bool {
	t := &r.plan.System
	counts := map[system.Role]int{}
	for node := range away {
		if n, ok := t.Node(node); ok {
			counts[n.Role]++
		}
	}
	for p := range t.Kafka.Partitions {
		names := t.Retrievers(p)
		if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !away[name] }) {
			return true
		}
	}
	brokers := max(1, int(t.Kafka.Replication)-t.Kafka.MinISR+1)
	return counts[system.RoleMySQL] > 0 || counts[system.RoleS3] > 0 || 2*(t.ZooKeeper.Nodes-counts[system.RoleZooKeeper]) <= t.ZooKeeper.Nodes ||
		counts[system.RoleKafka] >= brokers || t.Triggers > 0 && counts[system.RoleTrigger] >= t.Triggers || counts[system.RoleQuery] >= t.Queries
}
