// Package lock is a leader lock on ZooKeeper (the lock recipe of the ZooKeeper manual, with Curator's protection against
// lost answers): each candidate creates a sequential ephemeral znode, the lowest holds the lock, and the others each watch
// the one before them.
//
// A lock of this kind cannot make sure that there is one holder at a time: a holder that is paused for longer than its
// session goes on for a moment when it wakes. So each holder has an epoch, the transaction that created its znode, which is
// higher than those of all holders before it. Whatever a holder changes elsewhere must be refused there if a higher epoch
// has been seen (F. Junqueira, "Note on fencing and distributed locks").
package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	// root is where locks are; each is a znode below it, whose children are its candidates.
	root = "/ratel/locks"
	// mark stands between a candidate's GUID and its sequence number.
	mark = "-lock-"

	retryPause  = 100 * time.Millisecond // after an operation whose outcome is unknown
	redialPause = 500 * time.Millisecond // after a session was lost or could not be opened
	byeTimeout  = time.Second            // for giving the lock back
	// contacts is how many times within a session's timeout its holder makes sure that it has it: the older the last
	// contact is when a server dies, the less of the session is left to find another. patience is how many times it may
	// wait in vain for an answer.
	contacts = 6
	patience = 3
)

// Errors that say why a lock was lost. port.ErrSessionExpired is another.
var (
	// ErrNoContact: the ensemble was not heard of for as long as the session lasts, so it may have expired.
	ErrNoContact = errors.New("no contact with the ensemble for as long as the session lasts")
	// ErrGone: somebody has removed the holder's znode.
	ErrGone = errors.New("the holder's znode is gone")
	// ErrReleased: the holder itself has given it back.
	ErrReleased = errors.New("released")
)

// Lock is a candidate for one lock. One task uses it.
type Lock struct {
	r       rt.Runtime
	zk      port.Coordination
	path    string
	owner   string
	timeout time.Duration
	bugs    planted.Set
}

// New makes a candidate for the lock of that name. owner is the znode's data, for people. sessionTimeout is how long a
// holder that is not heard of keeps the lock.
func New(r rt.Runtime, zk port.Coordination, name, owner string, sessionTimeout time.Duration, bugs planted.Set) (*Lock, error) {
	switch {
	case zk == nil:
		return nil, errors.New("lock: there is no way to the ensemble")
	case name == "" || strings.Contains(name, "/"):
		return nil, fmt.Errorf("lock: its name is %q: expected one without a slash", name)
	case sessionTimeout <= 0:
		return nil, fmt.Errorf("lock %s: the session's timeout is %v: expected more than 0", name, sessionTimeout)
	}
	return &Lock{r: r, zk: zk, path: root + "/" + name, owner: owner, timeout: sessionTimeout, bugs: bugs}, nil
}

// Acquire waits for the lock, with a session of its own, until ctx ends. Sessions that are lost while it waits are replaced.
func (l *Lock) Acquire(ctx context.Context) (*Held, error) {
	for pause := time.Duration(0); ; pause = redialPause {
		if err := l.r.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("lock %s: %w", l.path, err)
		}
		session, err := l.zk.Connect(ctx, l.timeout)
		if err != nil {
			continue
		}
		held, err := l.queue(ctx, session)
		if err == nil {
			return held, nil
		}
		l.bye(ctx, session)
	}
}

// bye ends a session, and with it all its znodes, at once instead of when it would expire.
func (l *Lock) bye(ctx context.Context, session port.Session) {
	ctx, cancel := l.r.WithTimeout(context.WithoutCancel(ctx), byeTimeout)
	defer cancel()
	_ = session.Close(ctx)
}

// candidate is one session's place in the queue for a lock.
type candidate struct {
	*Lock
	session port.Session
	prefix  string // of its znode's name: unique, so that it is recognised even if the answer to its creation is lost
	name    string // its znode; empty: none that is known
	looking bool   // a creation has been tried whose outcome is not known
}

// queue stands in line in a session until the lock is held. An error means that the session is of no use any more, or that
// ctx has ended.
func (l *Lock) queue(ctx context.Context, session port.Session) (*Held, error) {
	// The clock keeps two candidates apart even if their random sources were seeded alike.
	c := &candidate{Lock: l, session: session, prefix: fmt.Sprintf("_c_%016x%016x%s", l.r.Rand().Uint64(), uint64(l.r.Now().UnixNano()), mark)}
	states := session.States()
	for {
		if over(states) {
			return nil, port.ErrSessionExpired
		}
		held, watch, err := c.step(ctx)
		switch {
		case held != nil:
			return held, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, port.ErrSessionExpired):
			return nil, err
		case err != nil:
			if err := l.r.Sleep(ctx, retryPause); err != nil {
				return nil, err
			}
		case watch != nil:
			if _, err := rt.WaitAny(ctx, l.r, watch, states); err != nil {
				return nil, err
			}
		}
	}
}

// over takes what the session has told about its state, and says whether it has ended.
func over(states *rt.Queue[port.SessionState]) bool {
	for {
		state, ok := states.TryPop()
		if !ok {
			return false // a queue that is closed says so with SessionExpired before, and with every operation after
		}
		if state == port.SessionExpired {
			return true
		}
	}
}

// step does one thing that brings the candidate on. It returns the lock, or what to wait for before the next step, or
// neither if it can be taken at once.
func (c *candidate) step(ctx context.Context) (*Held, *rt.Future[port.WatchEvent], error) {
	if c.name == "" && c.looking {
		// What other servers have seen of this session may be behind, so a look without Sync could miss the znode.
		if err := c.session.Sync(ctx, c.path); err != nil {
			return nil, nil, err
		}
		line, err := c.line(ctx)
		if err != nil {
			return nil, nil, err
		}
		c.looking = false
		for _, p := range line {
			if p.own {
				c.name = p.name
				return nil, nil, nil
			}
		}
	}
	if c.name == "" {
		return nil, nil, c.create(ctx)
	}
	line, err := c.line(ctx)
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(line, func(p place) bool { return p.own })
	if c.bugs.Has(planted.OrphanEphemeral) {
		at = slices.IndexFunc(line, func(p place) bool { return p.name == c.name })
	}
	if at < 0 {
		c.name = "" // somebody has removed it: stand in line again
		return nil, nil, nil
	}
	if !c.bugs.Has(planted.OrphanEphemeral) {
		// A creation that was given up may have taken effect after all. The first counts; others only stand in the way.
		c.name = line[at].name
		for _, p := range line[at+1:] {
			if !p.own {
				continue
			}
			if err := c.session.Delete(ctx, c.path+"/"+p.name, -1); err != nil && !errors.Is(err, port.ErrNoNode) {
				return nil, nil, err
			}
		}
	}
	if at > 0 {
		_, watch, err := c.session.ExistsW(ctx, c.path+"/"+line[at-1].name)
		if errors.Is(err, port.ErrNoNode) {
			return nil, nil, nil
		}
		return nil, watch, err
	}
	sent := c.r.Now()
	// The server may be cut off from the others, with this session long expired there: its leader has to be asked.
	if err := c.session.Sync(ctx, c.path); err != nil {
		return nil, nil, err
	}
	stat, err := c.session.Exists(ctx, c.path+"/"+c.name)
	switch {
	case errors.Is(err, port.ErrNoNode):
		c.name = ""
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case stat.EphemeralOwner != c.session.ID():
		return nil, nil, fmt.Errorf("lock %s: znode %s is of session %x, expected %x", c.path, c.name, stat.EphemeralOwner, c.session.ID())
	}
	return c.hold(ctx, stat.Czxid, sent), nil, nil
}

// create makes the candidate's znode, and the parents if they are not there.
func (c *candidate) create(ctx context.Context) error {
	created, err := c.session.Create(ctx, c.path+"/"+c.prefix, []byte(c.owner), port.EphemeralSequential)
	switch {
	case err == nil:
		c.name = created[strings.LastIndexByte(created, '/')+1:]
	case errors.Is(err, port.ErrNoNode):
		return c.parents(ctx)
	case errors.Is(err, port.ErrSessionExpired):
	case !c.bugs.Has(planted.OrphanEphemeral):
		c.looking = !errors.Is(err, port.ErrRefused)
	}
	return err
}

func (c *candidate) parents(ctx context.Context) error {
	for i := 1; i <= len(c.path); i++ {
		if i < len(c.path) && c.path[i] != '/' {
			continue
		}
		if _, err := c.session.Create(ctx, c.path[:i], nil, port.Persistent); err != nil && !errors.Is(err, port.ErrNodeExists) {
			return err
		}
	}
	return nil
}

// place is one candidate's znode.
type place struct {
	name string
	seq  int64
	own  bool
}

// line lists the candidates, the holder first.
func (c *candidate) line(ctx context.Context) ([]place, error) {
	names, err := c.session.Children(ctx, c.path)
	if err != nil {
		return nil, err
	}
	line := make([]place, 0, len(names))
	for _, name := range names {
		at := strings.LastIndex(name, mark)
		if at < 0 {
			continue
		}
		seq, err := strconv.ParseInt(name[at+len(mark):], 10, 64)
		if err != nil {
			continue // not made by this recipe
		}
		line = append(line, place{name, seq, strings.HasPrefix(name, c.prefix)})
	}
	slices.SortFunc(line, func(a, b place) int { return int(a.seq - b.seq) })
	return line, nil
}
