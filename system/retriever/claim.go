package retriever

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Pauses of the claim's recipe.
const (
	claimRetry  = 100 * time.Millisecond // after an operation whose connection was lost
	claimRedial = 500 * time.Millisecond // after a session could not be opened
	claimBye    = time.Second            // for closing the session at the end
)

var errLookAgain = errors.New("the claim has just changed")

// claim holds a partition's claim for a zone: the ephemeral znode /ratel/claims/<topic>/<partition>/<zone>, whose data is
// the owner's unique id. So two of a pair never follow a partition from one zone. A create whose answer was lost is found again by that id, so the recipe never waits behind its own znode.
//
// What depends on the claim is who follows the partition. A lost connection to ZooKeeper, even a lost session, does not
// stop a follower: its log is its own, so two followers do no harm, while none does. Only another owner stops it.
type claim struct {
	r         rt.Runtime
	zk        port.Coordination
	timeout   time.Duration
	announce  func(kind, detail string)
	topic     string
	partition int32
	place     string // the zone
	owner     string // unique to this incarnation

	mu      sync.Mutex // never held across a blocking call
	held    bool       // known to hold it, with a live session
	lapses  int64      // how often it was held and then no more, as far as could be known
	told    bool       // announced as claimed and not yet as lost
	allowed bool       // may follow the partition
	changed *rt.Future[struct{}]
}

func (c *claim) path() string {
	return fmt.Sprintf("/ratel/claims/%s/%d/%s", c.topic, c.partition, c.place)
}

// holds says whether the claim is held as far as can be known.
func (c *claim) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// losses is how often the claim was held and then no more, as far as could be known.
func (c *claim) losses() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lapses
}

// mayFollow says whether the partition may be followed; if not, changed is done when that may have changed.
func (c *claim) mayFollow() (allowed bool, changed *rt.Future[struct{}]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allowed, c.changed
}

// run claims the partition, and claims it again whenever it is lost, until ctx ends.
func (c *claim) run(ctx context.Context) error {
	pause := time.Duration(0)
	for c.r.Sleep(ctx, pause) == nil {
		pause = claimRedial
		if session, err := c.zk.Connect(ctx, c.timeout); err == nil {
			c.keep(ctx, session)
			c.bye(ctx, session)
			pause = claimRetry
		}
	}
	return nil
}

// bye gives the claim back at once instead of when the session would expire.
func (c *claim) bye(ctx context.Context, session port.Session) {
	ctx, cancel := c.r.WithTimeout(context.WithoutCancel(ctx), claimBye)
	defer cancel()
	// An error leaves the znode until the session expires, as after a crash.
	_ = session.Close(ctx)
}

// keep takes and watches the claim until the session or ctx ends.
func (c *claim) keep(ctx context.Context, session port.Session) {
	states := session.States()
	for ctx.Err() == nil {
		owner, watch, err := c.take(ctx, session)
		switch {
		case errors.Is(err, errLookAgain):
			continue
		case errors.Is(err, port.ErrSessionExpired):
			c.lost("the session has expired")
			return
		case err != nil:
			if c.r.Sleep(ctx, claimRetry) != nil {
				return
			}
			if c.drainStates(states) {
				return
			}
			continue
		case owner == c.owner:
			c.won()
		default:
			c.taken(owner)
		}
		for {
			i, err := rt.WaitAny(ctx, c.r, watch, states)
			if err != nil {
				return
			}
			if i == 0 {
				break
			}
			if again, ended := c.state(states); ended {
				return
			} else if again {
				break
			}
		}
	}
}

// drainStates takes all that the session has told. It says whether the session is over.
func (c *claim) drainStates(states *rt.Queue[port.SessionState]) (ended bool) {
	for states.Len() > 0 {
		if _, ended := c.state(states); ended {
			return true
		}
	}
	return false
}

// state acts on one change of the session's state. again says that the claim must be looked at.
func (c *claim) state(states *rt.Queue[port.SessionState]) (again, ended bool) {
	st, ok := states.TryPop()
	switch {
	case !ok:
		c.lost("the session was closed")
		return false, true
	case st == port.SessionExpired:
		c.lost("the session has expired")
		return false, true
	case st == port.SessionDisconnected:
		c.set(func() { c.held = false })
		return false, false
	}
	return !c.holds(), false
}

// take makes sure that somebody holds the claim, this process if it was free, and watches it.
func (c *claim) take(ctx context.Context, s port.Session) (owner string, watch *rt.Future[port.WatchEvent], err error) {
	_, err = s.Create(ctx, c.path(), []byte(c.owner), port.Ephemeral)
	switch {
	case errors.Is(err, port.ErrNoNode):
		if err := c.parents(ctx, s); err != nil {
			return "", nil, err
		}
		return "", nil, errLookAgain
	case err != nil && !errors.Is(err, port.ErrNodeExists):
		return "", nil, err
	}
	data, stat, watch, err := s.GetW(ctx, c.path())
	if errors.Is(err, port.ErrNoNode) {
		return "", nil, errLookAgain
	}
	if err != nil {
		return "", nil, err
	}
	owner = string(data)
	if owner == c.owner && stat.EphemeralOwner != s.ID() {
		// Left by an earlier session of this very process that has not expired yet. It would take the claim with it.
		err := s.Delete(ctx, c.path(), stat.Version)
		if err != nil && !errors.Is(err, port.ErrNoNode) && !errors.Is(err, port.ErrBadVersion) {
			return "", nil, err
		}
		return "", nil, errLookAgain
	}
	return owner, watch, nil
}

func (c *claim) parents(ctx context.Context, s port.Session) error {
	path := ""
	for _, part := range strings.Split(fmt.Sprintf("ratel/claims/%s/%d", c.topic, c.partition), "/") {
		path += "/" + part
		if _, err := s.Create(ctx, path, nil, port.Persistent); err != nil && !errors.Is(err, port.ErrNodeExists) {
			return err
		}
	}
	return nil
}

func (c *claim) won() {
	told := false
	c.set(func() { c.held, c.allowed, told, c.told = true, true, c.told, true })
	if !told {
		c.announce(port.EventClaimed, "by "+c.owner)
	}
}

func (c *claim) taken(by string) {
	told := false
	c.set(func() { c.held, c.allowed, told, c.told = false, false, c.told, false })
	if told {
		c.announce(port.EventClaimLost, "now held by "+by)
	}
}

func (c *claim) lost(why string) {
	told := false
	c.set(func() { c.held, told, c.told = false, c.told, false })
	if told {
		c.announce(port.EventClaimLost, why)
	}
}

// set changes the claim's state and wakes who waits for a change.
func (c *claim) set(change func()) {
	c.mu.Lock()
	before := c.held
	change()
	if before && !c.held {
		c.lapses++
	}
	changed := c.changed
	c.changed = rt.NewFuture[struct{}](c.r)
	c.mu.Unlock()
	changed.Complete(struct{}{}, nil)
}
