package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
)

// Services of a retriever.
const (
	serviceQuery    = "query"
	serviceManifest = "manifest"
)

const (
	// askRounds is how often all retrievers of a partition are tried.
	askRounds = 3
	// shunFor is how long a retriever that failed is asked after the other.
	shunFor = 5 * time.Second
	// A reply for which there is no room waits so long, so often. After that it is dropped, and asked for again if there is time.
	roomEvery = 50 * time.Millisecond
	roomTries = 20
)

// fresh is a retriever's answer.
type fresh struct {
	node    string
	reply   retriever.AskReply
	partial *exec.Partial
}

// drop gives back the memory of an answer that is not needed; nil is none.
func (f *fresh) drop() {
	if f != nil {
		f.partial.Discard()
	}
}

func (f *fresh) damaged(key string) bool { return slices.Contains(f.reply.Damaged, key) }

// ask gets one retriever's answer for a partition: of that whose turn it is, of the other if that is slow, fails or has
// damaged segments. It takes no more than half of the deadline, so that the object store can still be read.
func (g *gather) ask(ctx context.Context, p int32, turn int) (*fresh, error) {
	ctx, cancel := g.s.r.WithTimeout(ctx, g.s.cfg.Deadline/2)
	defer cancel()
	names := g.s.order(p, turn)
	if len(names) == 0 {
		return nil, fmt.Errorf("partition %d has no retriever", p)
	}
	request := retriever.EncodeAsk(retriever.AskRequest{Datasets: g.ids, Query: g.encoded})
	var last error
	for round := range askRounds {
		if round > 0 && g.s.r.Sleep(ctx, g.s.cfg.HedgeAfter) != nil {
			break
		}
		f, err := g.round(ctx, p, names, request)
		if f != nil {
			return f, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	if g.share.Lacked() { // that the time was up explains less
		last = exec.ErrBusy
	}
	return nil, last
}

// order is a partition's retrievers, in turn; one that failed a moment ago comes later.
func (s *Server) order(p int32, turn int) []string {
	names := s.layout.Retrievers(p)
	n := len(names)
	ordered := make([]string, 0, n)
	var shunned []string
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.r.Now()
	for i := range n {
		name := names[(i+turn+int(p))%n]
		if at, ok := s.failed[name]; ok && now.Sub(at) < shunFor {
			shunned = append(shunned, name)
			continue
		}
		ordered = append(ordered, name)
	}
	return append(ordered, shunned...)
}

// answered is the end of one call.
type answered struct {
	node string
	f    *fresh
	err  error
}

// round asks the retrievers, each once, until one has answered well. An answer with damaged segments is taken if no other
// is better.
func (g *gather) round(ctx context.Context, p int32, names []string, request []byte) (*fresh, error) {
	answers := rt.NewQueue[answered](g.s.r, len(names))
	sent, pending := 0, 0
	over := false // guarded by g.mu
	wanted := func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return !over
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		over = true
		for a, ok := answers.TryPop(); ok; a, ok = answers.TryPop() {
			a.f.drop()
		}
	}()
	send := func() {
		node := names[sent]
		sent++
		pending++
		g.s.r.Go("ask "+node, func(context.Context) {
			f, err := g.s.call(ctx, g.share, node, request, wanted)
			if !wanted() {
				f.drop()
				return
			}
			answers.TryPush(answered{node, f, err})
		})
	}
	hedge := func(why string) {
		if sent == len(names) {
			return
		}
		g.mu.Lock()
		g.stats.Hedged++
		g.mu.Unlock()
		g.s.announce(port.EventQueryHedged, p, fmt.Sprintf("partition %d: %s is asked too: %s", p, names[sent], why))
		send()
	}
	send()
	var best *fresh
	var last error
	for pending > 0 {
		a, err := g.next(ctx, answers, sent < len(names))
		switch {
		case ctx.Err() != nil && err != nil:
			if last == nil {
				last = fmt.Errorf("%s did not answer in time", names[0])
			}
			return best, last
		case errors.Is(err, context.DeadlineExceeded):
			hedge(fmt.Sprintf("%s is slow", names[sent-1]))
			continue
		case err != nil:
			return best, err
		}
		pending--
		if a.err != nil {
			last = fmt.Errorf("%s: %w", a.node, a.err)
			hedge(fmt.Sprintf("%s failed: %s", a.node, brief(a.err)))
			continue
		}
		damaged, worse := len(a.f.reply.Damaged), best
		if best == nil || damaged < len(best.reply.Damaged) {
			best = a.f
		} else {
			worse = a.f
		}
		worse.drop()
		if len(best.reply.Damaged) == 0 {
			return best, nil
		}
		hedge(fmt.Sprintf("%s has %d damaged segments", a.node, damaged))
	}
	return best, last
}

// next waits for an answer; context.DeadlineExceeded means that it is time to ask another.
func (g *gather) next(ctx context.Context, answers *rt.Queue[answered], others bool) (answered, error) {
	if others {
		var cancel context.CancelFunc
		ctx, cancel = g.s.r.WithTimeout(ctx, g.s.cfg.HedgeAfter)
		defer cancel()
	}
	return answers.Pop(ctx)
}

// call asks one retriever and remembers whether it failed.
func (s *Server) call(ctx context.Context, share *exec.Share, node string, request []byte, wanted func() bool) (*fresh, error) {
	f, err := s.tryCall(ctx, share, node, request, wanted)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.failed, node)
	case errors.Is(err, exec.ErrBusy): // it is this node that has no room
	case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.failed[node] = s.r.Now()
	}
	return f, err
}

// tryCall asks one retriever. What is not wanted any more when it comes is nil.
func (s *Server) tryCall(ctx context.Context, share *exec.Share, node string, request []byte, wanted func() bool) (*fresh, error) {
	b, err := s.ports.Peers.Call(ctx, node, serviceQuery, request)
	if err != nil {
		return nil, err
	}
	reply, err := retriever.DecodeAskReply(b)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	// While others have the room, the reply waits as it came.
	size := int64(len(b))
	if err := s.await(ctx, func() error { return share.Take(size) }); err != nil {
		return nil, err
	}
	defer func() { _ = share.Take(-size) }()
	var partial *exec.Partial
	if err := s.await(ctx, func() (err error) {
		if wanted() {
			partial, err = exec.Decode(reply.Partial, share)
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("the partial result: %w", err)
	}
	if partial == nil {
		return nil, nil
	}
	reply.Partial = nil
	return &fresh{node, reply, partial}, nil
}

// await tries something again while there is no room for it.
func (s *Server) await(ctx context.Context, try func() error) (err error) {
	for range roomTries {
		if err = try(); !errors.Is(err, exec.ErrBusy) || s.r.Sleep(ctx, roomEvery) != nil {
			break
		}
	}
	return err
}
