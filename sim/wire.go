package sim

import (
	"context"
	"fmt"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// bytesPerEvent is what a small event takes on the wire, for the bandwidth model of requests that travel decoded.
const bytesPerEvent = 150

// direct calls a shepherd over the simulated network with decoded events.
type direct struct {
	w    *World
	node string
}

// Send implements shepherd.Ingest.
func (d *direct) Send(ctx context.Context, req shepherd.Request) (shepherd.Answer, error) {
	m := simnet.Message{Body: &req, Size: 200 + bytesPerEvent*len(req.Events), Sum: uint64(len(req.Events))}
	reply, err := simnet.Call(ctx, d.w.harness, d.w.home, d.node, serviceIngest, m)
	if err != nil {
		return shepherd.Answer{}, err
	}
	return *reply.Body.(*shepherd.Answer), nil
}

// serveIngest answers requests that travel decoded.
func (w *World) serveIngest(p *sched.Process, n *simnet.Node, s *shepherd.Shepherd) {
	serve(p, n, serviceHealth, func(context.Context, simnet.Message) simnet.Message {
		return simnet.Message{Body: s.Health(), Size: 300}
	})
	if w.opts.OverHTTP {
		serveHTTP(p, n, serviceIngest, shepherd.Handler(s))
		return
	}
	serve(p, n, serviceIngest, func(ctx context.Context, m simnet.Message) simnet.Message {
		a := s.Accept(ctx, *m.Body.(*shepherd.Request))
		return simnet.Message{Body: &a, Size: 100 + 20*len(a.Statuses), Sum: sumOf(&a)}
	})
}

func (w *World) ingest(node string) shepherd.Ingest {
	if w.opts.OverHTTP {
		return shepherd.NewClient("http://"+node, &transport{w: w, node: node, service: serviceIngest})
	}
	return &direct{w: w, node: node}
}

// sumOf folds an answer into the trace: what clients are told is part of a run's identity.
func sumOf(a *shepherd.Answer) uint64 {
	h := uint64(a.Code)
	for i := range a.Statuses {
		st := &a.Statuses[i]
		h = h*1099511628211 ^ uint64(st.Code)<<48 ^ uint64(uint32(st.Partition))<<32 ^ uint64(st.Offset)
	}
	return h
}

// holder reaches a retriever over the simulated network.
type holder struct {
	w    *World
	node string
}

// holdingsCall asks for a page of holdings; a nil body asks for the status.
type holdingsCall struct {
	cursor  int64
	limit   int
	encoded bool // a RecordPage is asked for
}

// remoteError carries a role's error back to the asker.
type remoteError struct{ err error }

// Status implements retriever.Holder.
func (h *holder) Status(ctx context.Context) (retriever.Status, error) {
	return ask[retriever.Status](ctx, h, simnet.Message{Size: 50})
}

// Holdings implements retriever.Holder.
func (h *holder) Holdings(ctx context.Context, cursor int64, limit int) (retriever.Page, error) {
	return ask[retriever.Page](ctx, h, simnet.Message{Body: &holdingsCall{cursor: cursor, limit: limit}, Size: 60})
}

// HeldRecords implements retriever.RecordHolder.
func (h *holder) HeldRecords(ctx context.Context, cursor int64, limit int) (retriever.RecordPage, error) {
	return ask[retriever.RecordPage](ctx, h, simnet.Message{Body: &holdingsCall{cursor: cursor, limit: limit, encoded: true}, Size: 60})
}

// Ranges implements retriever.Holder.
func (h *holder) Ranges(ctx context.Context) ([]retriever.Range, error) {
	return ask[[]retriever.Range](ctx, h, simnet.Message{Body: rangesCall{}, Size: 50})
}

// rangesCall asks for what is held, summed up.
type rangesCall struct{}

func ask[T any](ctx context.Context, h *holder, m simnet.Message) (T, error) {
	return call[T](ctx, h.w, h.node, serviceHoldings, m)
}

// call asks a service of a node from the harness, for a reply of a type.
func call[T any](ctx context.Context, w *World, node, service string, m simnet.Message) (T, error) {
	var none T
	reply, err := simnet.Call(ctx, w.harness, w.home, node, service, m)
	if err != nil {
		return none, err
	}
	switch body := reply.Body.(type) {
	case T:
		return body, nil
	case remoteError:
		return none, body.err
	}
	return none, fmt.Errorf("%s answered with a %T", node, reply.Body)
}

func serveHoldings(p *sched.Process, n *simnet.Node, re *retriever.Retriever) {
	serve(p, n, serviceHoldings, func(ctx context.Context, m simnet.Message) simnet.Message {
		var body any
		var err error
		size := 100
		_, ranges := m.Body.(rangesCall)
		call, ok := m.Body.(*holdingsCall)
		switch {
		case ranges:
			body, err = re.Ranges(ctx)
		case ok && call.encoded:
			var page retriever.RecordPage
			page, err = re.HeldRecords(ctx, call.cursor, call.limit)
			size += bytesPerEvent * page.Events
			body = page
		case ok:
			var page retriever.Page
			page, err = re.Holdings(ctx, call.cursor, call.limit)
			size += bytesPerEvent * len(page.Held)
			body = page
		default:
			body, err = re.Status(ctx)
		}
		if err != nil {
			body = remoteError{err}
		}
		return simnet.Message{Body: body, Size: size}
	})
}
