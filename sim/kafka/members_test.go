package kafka

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	consumers "github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/port"
)

// runMember is run with the pipeline's own member.
func (m *chaosMember) runMember(ctx context.Context, p *sched.Process, groups port.Groups) {
	member, err := consumers.NewMember(p, groups, consumers.Config{
		ClientID: m.name, Group: "g", Topic: topic, Instance: m.instance, Assignor: m.g.assignor,
		SessionTimeout: 2 * time.Second, HeartbeatEvery: 300 * time.Millisecond, RebalanceTimeout: 4 * time.Second,
	}, port.Discard{}, m.name)
	if err != nil {
		m.g.violate("%v", err)
		return
	}
	for owned := []int32(nil); ; {
		a, err := member.Join(ctx, owned)
		if err != nil { // fenced by itself, if a join was delayed beyond its successor
			if p.Sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		owner := a.Member
		if m.instance != "" {
			owner = m.instance
		}
		m.has(a.Generation, owner, a.Partitions)
		owned = a.Partitions
		for !a.Rejoin && !a.Over.Done() {
			for _, part := range a.Partitions {
				m.g.commits++
				value := int64(m.g.commits)
				if groups.Commit(ctx, member.ID(), topic, map[int32]int64{part: value}) == nil {
					m.g.acks = append(m.g.acks, commitAck{part, value})
				}
			}
			if p.Sleep(ctx, 200*time.Millisecond) != nil {
				return
			}
		}
		m.stable = false
	}
}

// TestMembersUnderFaults runs the pipeline's members against the model.
func TestMembersUnderFaults(t *testing.T) {
	t.Parallel()
	for _, assignor := range consumers.Assignors() {
		t.Run(assignor, func(t *testing.T) {
			t.Parallel()
			n := seeds(t, 8)
			syncs, acks := 0, 0
			for seed := range n {
				g, err := runGroupChaos(uint64(seed), seed%2 == 0, assignor)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, v := range g.violations {
					t.Errorf("seed %d: %s", seed, v)
				}
				for _, m := range g.members {
					if slices.Sort(m.parts); len(m.parts) == 0 {
						t.Errorf("seed %d: %s has no partition of %d", seed, m.name, g.parts)
					}
				}
				syncs, acks = syncs+g.syncs, acks+len(g.acks)
			}
			t.Logf("%d assignments, %d acknowledged commits", syncs, acks)
			if syncs < 6*n || acks < 50*n {
				t.Error("the faults hardly did anything, or too much")
			}
		})
	}
}
