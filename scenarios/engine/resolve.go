package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

// resolve finds the nodes that a planned fault means now.
func (r *run) resolve(ctx context.Context, s *strike, subject string) ([]system.Fault, error) {
	if s.plan.Kind == system.FaultPoison {
		// It is for the partition, whoever leads it when it gets there, and for as long as nobody does it waits.
		return []system.Fault{{ID: s.id, Kind: s.plan.Kind, Partition: s.plan.Target.Partition, Record: s.plan.Record, Records: s.plan.Records}}, nil
	}
	targets, err := r.nodes(ctx, s.plan.Target, "target of "+s.id, "", subject)
	if err != nil {
		return nil, err
	}
	out := make([]system.Fault, 0, len(targets))
	for _, node := range targets {
		f := system.Fault{
			ID: s.id, Kind: s.plan.Kind, Node: node, Direction: s.plan.Direction,
			Rate: s.plan.Rate, Delay: time.Duration(s.plan.Delay), Team: s.plan.Team, Dataset: s.plan.Dataset,
		}
		for i, sel := range s.plan.From {
			from, err := r.nodes(ctx, sel, fmt.Sprintf("from %d of %s", i, s.id), node, subject)
			if err != nil {
				return nil, err
			}
			for _, n := range from {
				if n != node && !slices.Contains(f.From, n) {
					f.From = append(f.From, n)
				}
			}
		}
		if f.Kind == system.FaultIsolate && len(f.From) == 0 {
			return nil, fmt.Errorf("%s: there is no other node to isolate %s from", s.plan.Pos, node)
		}
		out = append(out, f)
	}
	return out, nil
}

// nodes resolves one selector. purpose seeds the draw of any_of; target is what others is relative to.
func (r *run) nodes(ctx context.Context, sel plan.Selector, purpose, target, subject string) ([]string, error) {
	switch sel.Kind {
	case plan.SelectNode:
		if _, ok := r.p.System.Node(sel.Node); !ok {
			return nil, fmt.Errorf("%s: no node %q in the topology", sel.Pos, sel.Node)
		}
		return []string{sel.Node}, nil
	case plan.SelectSubject:
		if _, ok := r.topology().Node(subject); !ok {
			return nil, fmt.Errorf("%s: the event that the fault was aimed at is about no node (%q)", sel.Pos, subject)
		}
		return []string{subject}, nil
	case plan.SelectAll, plan.SelectAny, plan.SelectPeers:
		var names []string
		for _, n := range r.topology().Nodes() {
			if n.Role == sel.Role && (sel.Kind != plan.SelectPeers || n.Name != target) {
				names = append(names, n.Name)
			}
		}
		if sel.Kind != plan.SelectAny {
			return names, nil
		}
		if sel.N > len(names) {
			return nil, fmt.Errorf("%s: any_of(%q, %d): there are only %d", sel.Pos, sel.Role, sel.N, len(names))
		}
		r.random(purpose).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		drawn := names[:sel.N]
		slices.Sort(drawn)
		return drawn, nil
	case plan.SelectPair:
		return r.p.System.Retrievers(sel.Partition), nil
	case plan.SelectOneOf:
		pair := r.p.System.Retrievers(sel.Partition)
		return []string{pair[r.random(purpose).IntN(len(pair))]}, nil
	case plan.SelectZone, plan.SelectAnyZone:
		zone := sel.Zone
		if sel.Kind == plan.SelectAnyZone {
			zones := r.p.System.ZoneNames()
			zone = zones[r.random(purpose).IntN(len(zones))]
		}
		var names []string
		for _, n := range r.placed {
			if n.Zone == zone && !r.topology().Waits(n) {
				names = append(names, n.Name)
			}
		}
		return names, nil
	case plan.SelectLeader:
		parts, err := r.describe(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: leader_of(%q, %d): %w", sel.Pos, sel.Topic, sel.Partition, err)
		}
		for _, p := range parts {
			if p.Partition == sel.Partition {
				if p.Leader < 0 {
					return nil, fmt.Errorf("%s: %s/%d has no leader now", sel.Pos, sel.Topic, sel.Partition)
				}
				return []string{system.NodeName(system.RoleKafka, int(p.Leader))}, nil
			}
		}
		return nil, fmt.Errorf("%s: %s has no partition %d", sel.Pos, sel.Topic, sel.Partition)
	case plan.SelectZK:
		name, err := r.w.ZooKeeperLeader(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: zk_leader(): %w", sel.Pos, err)
		}
		return []string{name}, nil
	}
	return nil, fmt.Errorf("%s: unknown selector %q", sel.Pos, sel.Kind)
}
