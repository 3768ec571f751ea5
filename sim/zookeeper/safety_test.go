package zookeeper

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func runChaos(t *testing.T, seed uint64, bugs Bugs, length time.Duration) *chaos {
	t.Helper()
	cfg := Config{Bugs: bugs}
	if seed%4 == 3 {
		cfg.Nodes = names(5)
	}
	if seed%3 == 0 {
		cfg.SnapshotEvery = 10 // so that followers are brought up to date by snapshots
	}
	c := newChaos(newWorld(t, seed, cfg, chaosClients...))
	c.play(length)
	c.linearizable("register", registerModel, c.register)
	c.linearizable("lock", lockModel, c.lock)
	c.sim.Close()
	return c
}

// Nothing committed is lost or reordered, writes are linearizable, and an ephemeral znode has one owner, whatever happens
// to servers and links while a quorum's disks survive.
func TestSafetyUnderFaults(t *testing.T) {
	t.Parallel()
	seeds := uint64(400)
	if testing.Short() {
		seeds = 20
	}
	faults, expired, leaders, unknown := map[string]int{}, 0, 0, 0
	for seed := range seeds {
		c := runChaos(t, seed, Bugs{}, 30*time.Second)
		for _, err := range c.errs {
			t.Errorf("seed %d: %v", seed, err)
		}
		for k, n := range c.faults {
			faults[k] += n
		}
		expired += c.count("session.expired")
		leaders += c.count("zookeeper.leader.elected")
		for _, o := range c.register {
			if o.unknown {
				unknown++
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d seeds: faults %v, %d sessions expired, %d leaders, %d sets of unknown outcome", seeds, faults, expired, leaders, unknown)
	if expired == 0 || unknown == 0 || leaders <= int(seeds) {
		t.Error("the runs were too calm to mean anything")
	}
}

// The checks above must be able to fail: each planted fault is found by them.
func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, bugs := range map[string]Bugs{
		"Z7 acknowledged before synced": {AckBeforeSync: true},
		"Z8 not truncated":              {NoTruncate: true},
		"Z9 ephemerals kept":            {KeepEphemerals: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1500) {
				if c := runChaos(t, seed, bugs, 30*time.Second); len(c.errs) > 0 {
					t.Logf("seed %d: %v", seed, c.errs[0])
					return
				}
			}
			t.Error("not found in 1500 seeds")
		})
	}
}

func TestSameSeedSameHash(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for seed := range uint64(20) {
		a, b := runChaos(t, seed, Bugs{}, 20*time.Second), runChaos(t, seed, Bugs{}, 20*time.Second)
		if a.sim.Hash() != b.sim.Hash() || a.sim.Steps() != b.sim.Steps() {
			t.Errorf("seed %d: hash %x after %d steps, then %x after %d", seed, a.sim.Hash(), a.sim.Steps(), b.sim.Hash(), b.sim.Steps())
		}
		seen[a.sim.Hash()] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 seeds made %d hashes", len(seen))
	}
}

// linearizable checks a history of at most 500 operations. One of unknown outcome may take effect at any later time.
func (c *chaos) linearizable(what string, m porcupine.Model, ops []operation) {
	const forever = int64(1) << 60
	slices.SortFunc(ops, func(a, b operation) int { return int(a.call - b.call) })
	if len(ops) > 500 {
		c.errorf("%s: %d operations are more than the checker is meant for", what, len(ops))
		return
	}
	var history []porcupine.Operation
	for i, o := range ops {
		client, done := o.client, o.done
		if o.unknown {
			client, done = 100+i, forever+int64(i) // it goes on, while its client goes on with others
		}
		history = append(history, porcupine.Operation{ClientId: client, Input: o, Output: o, Call: o.call, Return: done})
	}
	switch porcupine.CheckOperationsTimeout(m, history, 30*time.Second) {
	case porcupine.Illegal:
		c.errorf("%s: not linearizable (%d operations)", what, len(ops))
	case porcupine.Unknown:
		c.errorf("%s: not decided within 30 s (%d operations)", what, len(ops))
	}
}

// registerModel is a versioned register: a set raises the version by one, unless it asks for another version.
var registerModel = porcupine.Model{
	Init: func() any { return int32(0) },
	Step: func(state, input, _ any) (bool, any) {
		version, o := state.(int32), input.(operation)
		applies := o.version == -1 || o.version == version
		switch {
		case o.unknown && applies:
			return true, version + 1
		case o.unknown:
			return true, version
		case o.code == codeOK:
			return applies && o.got == version+1, version + 1
		case o.code == codeBadVersion:
			return !applies, version
		}
		return false, version
	},
}

type lockState struct {
	owner int64
	ended string // sessions that have ended: nothing of theirs takes effect
}

// lockModel is an ephemeral znode: it belongs to the session that made it until it is deleted or the session ends.
var lockModel = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, o := state.(lockState), input.(operation)
		id := fmt.Sprintf("%x,", o.session)
		ended := containsID(s.ended, id)
		free := s.owner == 0
		after := s
		switch {
		case o.kind == opClose:
			if s.owner == o.session {
				after.owner = 0
			}
			after.ended += id
			return true, after
		case o.kind == opCreate && free && !ended:
			after.owner = o.session
		case o.kind == opDelete && !ended:
			after.owner = 0
		}
		switch {
		case o.unknown:
			return true, after
		case o.kind == opCreate && o.code == codeOK:
			return free && !ended, after
		case o.kind == opCreate && o.code == codeNodeExists:
			return !free, s
		case o.kind == opDelete && o.code == codeOK:
			return !free && !ended, after
		case o.kind == opDelete && o.code == codeNoNode:
			return free, s
		}
		return false, s
	},
}

func containsID(list, id string) bool {
	for i := 0; i+len(id) <= len(list); i++ {
		if list[i:i+len(id)] == id && (i == 0 || list[i-1] == ',') {
			return true
		}
	}
	return false
}
