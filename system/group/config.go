// Package group is a member's side of Kafka's classic group protocol: joining, synchronising, heartbeats, leaving, with
// cooperative rebalancing (KIP-429) and static membership (KIP-345), and the assignors with Kafka's own encoding
// (ConsumerProtocol). It is written once, over rt and port.Groups, so that the same member meets a simulated coordinator
// and a real one.
package group

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Names of the assignors, as Kafka's consumers call them.
const (
	Range             = "range"
	RoundRobin        = "roundrobin"
	Sticky            = "sticky"
	CooperativeSticky = "cooperative-sticky"
)

// Assignors lists the names that Config.Assignor may have.
func Assignors() []string { return []string{Range, RoundRobin, Sticky, CooperativeSticky} }

// Config says which group a member is in, and how.
type Config struct {
	ClientID string
	Group    string
	Topic    string
	// Instance is the member's group.instance.id (KIP-345): a member with the same one that joins within SessionTimeout
	// takes the old one's place and its assignment. "" is a dynamic member.
	Instance string
	// Assignor is the one assignor that the member can do: range, roundrobin, sticky or cooperative-sticky. All members
	// of a group must have the same.
	Assignor string
	// InSeries has the leader fill one member after the other up to the number that each could have to take, so that there
	// may be none left for the last. It is planted.SeriesAssignment, and nothing that a configuration can ask for.
	InSeries bool
	// SessionTimeout: the coordinator evicts a member from which it has heard nothing for that long.
	SessionTimeout time.Duration
	// HeartbeatEvery is the pause between heartbeats; at most half of SessionTimeout, better a third or less.
	HeartbeatEvery time.Duration
	// RebalanceTimeout is how long the others wait for a member that does not join again (max.poll.interval.ms).
	RebalanceTimeout time.Duration
	// RefreshEvery is how often a member looks whether the topic has grown, which begins a rebalance. 0 is 10 s.
	RefreshEvery time.Duration
}

const defaultRefresh = 10 * time.Second

// check returns what is wrong with the configuration, all of it.
func (c Config) check() error {
	var errs []error
	for _, f := range []struct{ name, value string }{{"ClientID", c.ClientID}, {"Group", c.Group}, {"Topic", c.Topic}} {
		if f.value == "" || len(f.value) > maxString {
			errs = append(errs, fmt.Errorf("%s has %d bytes: expected 1 to %d", f.name, len(f.value), maxString))
		}
	}
	if !slices.Contains(Assignors(), c.Assignor) {
		errs = append(errs, fmt.Errorf("assignor %q: expected one of %q", c.Assignor, Assignors()))
	}
	if c.HeartbeatEvery <= 0 || c.SessionTimeout < 2*c.HeartbeatEvery {
		errs = append(errs, fmt.Errorf("HeartbeatEvery %v must be positive and at most half of SessionTimeout %v", c.HeartbeatEvery, c.SessionTimeout))
	}
	if c.RebalanceTimeout <= 0 || c.RefreshEvery < 0 {
		errs = append(errs, fmt.Errorf("RebalanceTimeout %v must be positive, RefreshEvery %v not negative", c.RebalanceTimeout, c.RefreshEvery))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("group %q, client %q: %w", c.Group, c.ClientID, errors.Join(errs...))
}
