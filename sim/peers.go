package sim

import (
	"context"
	"fmt"
	"hash/crc32"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// peers calls other roles over the simulated network. It implements port.Peers.
type peers struct {
	p    *sched.Process
	from *simnet.Node
}

// peerRequest is a call on the wire.
type peerRequest struct {
	service string
	body    []byte
}

// Call implements port.Peers.
func (c *peers) Call(ctx context.Context, node, service string, request []byte) ([]byte, error) {
	m := simnet.Message{Body: &peerRequest{service, request}, Size: 200 + len(request), Sum: uint64(crc32.ChecksumIEEE(request))}
	reply, err := simnet.Call(ctx, c.p, c.from, node, servicePeer, m)
	if err != nil {
		return nil, err
	}
	switch body := reply.Body.(type) {
	case []byte:
		return body, nil
	case string:
		return nil, &port.PeerError{Node: node, Service: service, Text: body}
	}
	return nil, fmt.Errorf("%s answered a call of %s with a %T", node, service, reply.Body)
}

// servePeers answers the calls of other roles.
func servePeers(p *sched.Process, n *simnet.Node, s port.PeerServer) {
	serve(p, n, servicePeer, func(ctx context.Context, m simnet.Message) simnet.Message {
		in := m.Body.(*peerRequest)
		reply, err := s.ServePeer(ctx, in.service, in.body)
		if err != nil {
			return simnet.Message{Body: err.Error(), Size: 200 + len(err.Error())}
		}
		return simnet.Message{Body: reply, Size: 200 + len(reply), Sum: uint64(crc32.ChecksumIEEE(reply))}
	})
}

// directQuery asks a query node over the simulated network without HTTP.
type directQuery struct {
	w    *World
	node string
}

// bytesPerAnswer is what a query's answer takes on the wire, for the bandwidth model of answers that travel decoded.
const bytesPerAnswer = 4096

// Query implements query.Querier.
func (d *directQuery) Query(ctx context.Context, req query.Request) (query.Answer, error) {
	return call[query.Answer](ctx, d.w, d.node, serviceQuery, simnet.Message{
		Body: &req, Size: 300 + len(req.Spec), Sum: uint64(crc32.ChecksumIEEE(req.Spec)),
	})
}

func (w *World) querier(node string) query.Querier {
	if w.opts.OverHTTP {
		return query.NewClient("http://"+node, &transport{w: w, node: node, service: serviceQuery}, query.SleepOn(w.harness))
	}
	return &directQuery{w, node}
}

func (w *World) serveQueries(p *sched.Process, n *simnet.Node, q *query.Server) {
	if w.opts.OverHTTP {
		serveHTTP(p, n, serviceQuery, query.Handler(q))
		return
	}
	serve(p, n, serviceQuery, func(ctx context.Context, m simnet.Message) simnet.Message {
		answer, err := q.Query(ctx, *m.Body.(*query.Request))
		if err != nil {
			return simnet.Message{Body: remoteError{err}, Size: 200}
		}
		return simnet.Message{Body: answer, Size: bytesPerAnswer, Sum: answerSum(&answer)}
	})
}

// answerSum folds an answer into the trace.
func answerSum(a *query.Answer) uint64 {
	h := uint64(a.Code)<<1 | uint64(len(a.Missing))<<20
	if a.Result != nil {
		h ^= uint64(len(a.Result.Rows))<<40 ^ uint64(len(a.Result.Series))<<50
	}
	return h*1099511628211 + uint64(a.Stats.RowsScanned)
}

// ShepherdHealth asks a shepherd how it is.
func (w *World) ShepherdHealth(ctx context.Context, node string) (shepherd.Health, error) {
	return call[shepherd.Health](ctx, w, node, serviceHealth, simnet.Message{Size: 50})
}
