package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// chaos is one random run: clients work on a register and on a lock while servers are killed, paused, wiped and cut off;
// then everything is healed. What must hold is collected in errs.
type chaos struct {
	*world
	rand     *rand.Rand
	clock    int64 // a logical time that orders all calls, returns and commits
	register []operation
	lock     []operation
	order    []int64          // zxids in the order in which they were first applied
	at       map[int64]int    // position in order
	first    map[int64]string // zxid -> content when first applied
	errs     []error
	stop     bool
	busy     int // clients at work
	faults   map[string]int
	strike   func(leader string) // called when the next leader starts
}

// operation is a client's operation, or a session's end as the ensemble committed it.
type operation struct {
	client     int
	call, done int64
	kind       opcode // opCreate, opDelete, opSet; opClose: the session's end
	session    int64
	version    int32 // asked for
	got        int32 // version after a set
	code       code
	unknown    bool
}

var chaosClients = []string{"a", "b", "c"}

func newChaos(w *world) *chaos {
	c := &chaos{
		world: w, rand: w.sim.Rand("chaos"), at: map[int64]int{}, first: map[int64]string{},
		faults: map[string]int{},
	}
	w.zk.observe = c.applied
	w.zk.cfg.Events = c
	return c
}

func (c *chaos) now() int64 { c.clock++; return c.clock }

func (c *chaos) errorf(format string, args ...any) {
	if len(c.errs) < 5 {
		c.errs = append(c.errs, fmt.Errorf("at %v: "+format, append([]any{c.sim.Now()}, args...)...))
	}
}

// applied checks that all servers apply the same transactions in the same order, without a gap, with the same result.
func (c *chaos) applied(m *machine, before int64, x *txn, out outcome) {
	content := fmt.Sprintf("%d %x %s %q %v", x.kind, x.session, x.path, x.data, out)
	pos, known := c.at[x.zxid]
	switch {
	case !known:
		if n := len(c.order); n > 0 && c.order[n-1] > x.zxid {
			c.errorf("%s commits %x, but %x is committed already", m.name, x.zxid, c.order[n-1])
		}
		pos = len(c.order)
		c.at[x.zxid], c.first[x.zxid] = pos, content
		c.order = append(c.order, x.zxid)
		if x.kind == txCloseSession {
			t := c.now()
			c.lock = append(c.lock, operation{client: len(chaosClients), call: t, done: t, kind: opClose, session: x.session})
		}
	case c.first[x.zxid] != content:
		c.errorf("%s applies %x as %s, others as %s", m.name, x.zxid, content, c.first[x.zxid])
	}
	if pos > 0 && before != c.order[pos-1] || pos == 0 && before != 0 {
		c.errorf("%s applies %x (number %d) right after %x", m.name, x.zxid, pos, before)
	}
}

// work is one client: it opens sessions and uses them until the run stops.
func (c *chaos) work(ctx context.Context, i int, name string) {
	defer func() { c.busy-- }()
	p := c.procs[name]
	for !c.stop {
		s, err := c.client(name).Connect(ctx, 2*time.Second)
		if err != nil {
			c.errorf("connect: %v", err)
			return
		}
		version, last := int32(-1), int64(0)
		for !c.stop {
			_ = p.Sleep(ctx, time.Duration(c.rand.Int64N(int64(600*time.Millisecond))))
			switch c.rand.IntN(5) {
			case 0, 1:
				version, err = c.set(ctx, i, s, version)
			case 2:
				var st port.Stat
				if st, err = s.Exists(ctx, "/register"); err == nil {
					if st.Mzxid < last {
						c.errorf("session 0x%x saw mzxid %x after %x", s.ID(), st.Mzxid, last)
					}
					last, version = st.Mzxid, st.Version
				}
			case 3:
				err = c.locked(ctx, i, s, opCreate)
			case 4:
				err = c.locked(ctx, i, s, opDelete)
			}
			if errors.Is(err, port.ErrSessionExpired) {
				break
			}
		}
		_ = s.Close(ctx)
	}
}

func (c *chaos) set(ctx context.Context, i int, s port.Session, version int32) (int32, error) {
	if c.rand.IntN(3) == 0 {
		version = -1
	}
	o := operation{client: i, kind: opSet, version: version, call: c.now()}
	st, err := s.Set(ctx, "/register", []byte{byte(i)}, version)
	o.done, o.got = c.now(), st.Version
	if c.outcome(&o, err) {
		c.register = append(c.register, o)
	}
	return st.Version, err
}

func (c *chaos) locked(ctx context.Context, i int, s port.Session, op opcode) error {
	o := operation{client: i, kind: op, session: s.ID(), call: c.now()}
	var err error
	if op == opCreate {
		_, err = s.Create(ctx, "/lock", nil, port.Ephemeral)
	} else {
		err = s.Delete(ctx, "/lock", -1)
	}
	o.done = c.now()
	if c.outcome(&o, err) {
		c.lock = append(c.lock, o)
	}
	return err
}

// outcome notes how an operation ended; false if it certainly had no effect and says nothing about the state.
func (c *chaos) outcome(o *operation, err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, port.ErrUnknown):
		o.unknown = true
	case errors.Is(err, port.ErrNodeExists):
		o.code = codeNodeExists
	case errors.Is(err, port.ErrNoNode):
		o.code = codeNoNode
	case errors.Is(err, port.ErrBadVersion):
		o.code = codeBadVersion
	case errors.Is(err, port.ErrSessionExpired):
		return false
	default:
		c.errorf("unexpected error: %v", err)
		return false
	}
	return true
}

// harm does one random thing to the ensemble.
func (c *chaos) harm(ctx context.Context) {
	p := c.procs[chaosClients[0]]
	nodes := c.zk.Nodes()
	pick := nodes[c.rand.IntN(len(nodes))]
	if l := c.zk.Leader(); l != "" && c.rand.IntN(2) == 0 {
		pick = l
	}
	hold := time.Duration(c.rand.Int64N(int64(4 * time.Second)))
	kind := []string{"kill", "pause", "cut", "one-way", "isolate", "crash all", "wipe", "client", "aimed"}[c.rand.IntN(9)]
	c.faults[kind]++
	switch kind {
	case "kill":
		c.zk.KillNode(pick)
		_ = p.Sleep(ctx, hold)
		c.zk.StartNode(pick)
	case "pause":
		c.zk.PauseNode(pick)
		_ = p.Sleep(ctx, hold)
		c.zk.ResumeNode(pick)
	case "cut", "one-way":
		other := nodes[c.rand.IntN(len(nodes))]
		c.net.Cut(pick, other)
		if kind == "cut" {
			c.net.Cut(other, pick)
		}
		_ = p.Sleep(ctx, hold)
		c.net.HealAll()
	case "isolate":
		for _, o := range nodes {
			c.net.Cut(pick, o)
			c.net.Cut(o, pick)
		}
		_ = p.Sleep(ctx, hold)
		c.net.HealAll()
	case "crash all":
		for _, n := range nodes {
			c.zk.KillNode(n)
			_ = p.Sleep(ctx, time.Duration(c.rand.Int64N(int64(3*time.Millisecond))))
		}
		for _, n := range nodes {
			c.zk.StartNode(n)
		}
	case "wipe":
		// An empty disk is as good as none: a quorum must hold everything until this one does again. So nothing else
		// goes wrong meanwhile.
		if !c.settled() {
			return
		}
		c.zk.WipeNode(pick)
		c.zk.StartNode(pick)
		c.until(ctx, chaosClients[0], time.Minute, "wiped server follows again", func() bool { return c.zk.Serving(pick) })
	case "aimed":
		c.aimed(ctx)
	case "client":
		client := chaosClients[c.rand.IntN(len(chaosClients))]
		for _, o := range nodes {
			c.net.Cut(client, o)
			c.net.Cut(o, client)
		}
		_ = p.Sleep(ctx, hold)
		c.net.HealAll()
	}
}

// aimed crashes all servers while one is writing, and again within milliseconds of the next leader's start; that leader
// then stays away longest, so that the others go on with what it had brought to their disks.
func (c *chaos) aimed(ctx context.Context) {
	p := c.procs[chaosClients[0]]
	nodes := c.zk.Nodes()
	writing := func() bool {
		for _, m := range c.zk.machines {
			if m.disk.synced < len(m.disk.log) {
				return true
			}
		}
		return false
	}
	for i := 0; i < 2000 && !writing(); i++ {
		_ = p.Sleep(ctx, time.Millisecond)
	}
	for _, n := range nodes {
		c.zk.KillNode(n)
	}
	struck := false
	c.strike = func(leader string) {
		c.strike = nil
		c.sim.After(time.Duration(c.rand.Int64N(int64(3*time.Millisecond))), func() {
			for _, n := range nodes {
				c.zk.KillNode(n)
			}
			for _, n := range nodes {
				if n != leader {
					c.zk.StartNode(n)
				}
			}
			c.sim.After(3*time.Second, func() { c.zk.StartNode(leader); struck = true })
		})
	}
	for _, n := range nodes {
		c.zk.StartNode(n)
	}
	c.until(ctx, chaosClients[0], time.Minute, "a leader to strike", func() bool { return struck })
}

// Announce implements port.Events.
func (c *chaos) Announce(e port.Event) {
	c.world.Announce(e)
	if e.Kind == port.EventEnsembleLeader && c.strike != nil {
		c.strike(e.Node)
	}
}

// settled reports whether all servers serve and hold the same log.
func (c *chaos) settled() bool {
	if c.zk.Leader() == "" {
		return false
	}
	for _, m := range c.zk.machines {
		if !c.zk.Serving(m.name) || m.disk.durable() != c.zk.machines[0].disk.durable() || m.disk.durable() != m.disk.last() {
			return false
		}
	}
	return true
}

// play runs everything and returns what went wrong.
func (c *chaos) play(length time.Duration) {
	c.run(length+10*time.Minute, chaosClients[0], func(ctx context.Context) {
		s := c.connect(ctx, chaosClients[0], 2*time.Second)
		if _, err := s.Create(ctx, "/register", nil, port.Persistent); err != nil {
			c.errorf("set-up: %v", err)
			return
		}
		for i, name := range chaosClients {
			c.busy++
			c.procs[name].Go("client", func(ctx context.Context) { c.work(ctx, i, name) })
		}
		p := c.procs[chaosClients[0]]
		for end := c.sim.Now() + length; c.sim.Now() < end; {
			_ = p.Sleep(ctx, time.Duration(c.rand.Int64N(int64(3*time.Second))))
			c.harm(ctx)
		}
		// Now nothing is wrong any more: the ensemble must become whole, and sessions must work.
		c.net.HealAll()
		c.stop = true
		c.until(ctx, chaosClients[0], time.Minute, "clients finish", func() bool { return c.busy == 0 })
		c.until(ctx, chaosClients[0], time.Minute, "ensemble whole", c.settled)
		s = c.connect(ctx, chaosClients[0], 2*time.Second)
		o := operation{client: len(chaosClients), kind: opSet, version: -1, call: c.now()}
		st, err := s.Set(ctx, "/register", nil, -1)
		if err != nil {
			c.errorf("write after all is healed: %v", err)
		}
		o.got, o.done = st.Version, c.now()
		c.register = append(c.register, o)
		c.until(ctx, chaosClients[0], time.Minute, "all apply the same", func() bool { // sessions of the run may still expire
			for _, m := range c.zk.machines {
				if m.peer.tree.zxid != c.zk.machines[0].peer.tree.zxid {
					return false
				}
			}
			return true
		})
		c.sameTrees()
	})
}

func (c *chaos) sameTrees() {
	want := c.zk.machines[0].peer.tree
	for _, m := range c.zk.machines[1:] {
		if got := m.peer.tree; got.zxid != want.zxid || !reflect.DeepEqual(got.nodes, want.nodes) || !sameSessions(got, want) {
			c.errorf("%s holds another tree (at %x) than %s (at %x)", m.name, got.zxid, c.zk.machines[0].name, want.zxid)
		}
	}
	for path, z := range want.nodes {
		if z.owner != 0 && want.sessions[z.owner] == nil {
			c.errorf("%s belongs to session 0x%x, which is gone", path, z.owner)
		}
	}
}

func sameSessions(a, b *tree) bool { return reflect.DeepEqual(a.sessionIDs(), b.sessionIDs()) }
