package zookeeper

import (
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// clientConn is a client's connection at a server.
type clientConn struct {
	p       *peer
	c       *simnet.Conn
	session int64 // 0 until established
	dropped bool
	queue   []*pending // requests not yet answered, in the order in which they came
	watched []watchKey
}

// pending is a request at the server. Its answers keep the order of the requests.
type pending struct {
	c     *clientConn
	r     *request
	wait  bool // for the ensemble
	reply *reply
	last  bool // the connection ends with this answer
}

// acceptClient takes a client's connection; a server that is not part of a working ensemble closes it at once.
func (p *peer) acceptClient(c *simnet.Conn) {
	if !p.serving {
		c.Close()
		return
	}
	cc := &clientConn{p: p, c: c}
	p.conns = append(p.conns, cc)
	c.OnMessage(func(m simnet.Message) {
		if !cc.dropped {
			cc.receive(m.Body.(*request))
		}
	})
	c.OnClose(func(error) { p.disconnect(cc) })
}

// acceptProbe answers probes while the server serves.
func (p *peer) acceptProbe(c *simnet.Conn) {
	c.OnMessage(func(m simnet.Message) {
		if p.serving {
			c.Send(simnet.Message{Size: m.Size})
		}
	})
}

// disconnect ends a connection from this side.
func (p *peer) disconnect(c *clientConn) {
	if c.dropped {
		return
	}
	c.drop()
	p.watches.drop(c)
	p.conns = slices.DeleteFunc(p.conns, func(o *clientConn) bool { return o == c })
}

// drop closes the connection; what its client had asked for is answered to nobody.
func (c *clientConn) drop() {
	if !c.dropped {
		c.dropped = true
		c.c.Close()
	}
}

func (c *clientConn) send(r *reply) { c.c.Send(r.message()) }

func (c *clientConn) event(change changeKind, path string) {
	if !c.dropped {
		c.send(&reply{op: opEvent, zxid: -1, change: change, path: path})
	}
}

func (c *clientConn) receive(r *request) {
	p := c.p
	if r.op == opConnect {
		c.connect(r)
		return
	}
	if c.session == 0 {
		p.disconnect(c) // a request before the session: not a client of ours
		return
	}
	p.touch(c.session)
	q := &pending{c: c, r: r}
	c.queue = append(c.queue, q)
	switch r.op {
	case opCreate, opSet, opDelete, opClose:
		if r.op != opClose && !validPath(r.path, sequential(r.mode)) {
			q.reply = &reply{code: codeBadPath}
			break
		}
		q.wait = true
		q.last = r.op == opClose
		p.ask(q, &txn{kind: r.op.tx(), session: c.session, path: r.path, data: r.data, version: r.version, mode: r.mode})
	case opSync:
		q.wait = true
		id := p.enlist(q)
		if p.lead != nil {
			p.lead.sync(waitingSync{req: id})
		} else {
			p.follow.send(&zab{kind: zabSync, req: id})
		}
	}
	c.drain()
}

// connect opens a session, or takes one over that was at another server or on a connection that broke.
func (c *clientConn) connect(r *request) {
	p := c.p
	if r.zxid > p.tree.zxid {
		p.disconnect(c) // the client has seen a newer state than this server has
		return
	}
	q := &pending{c: c, r: r, wait: true}
	c.queue = append(c.queue, q)
	if r.session == 0 {
		p.nextSID++
		id := int64(p.m.id)<<56 | int64(p.e.sim.Now()/time.Millisecond)<<16 | p.nextSID&0xffff
		timeout := min(max(r.timeout, p.e.cfg.MinSession), p.e.cfg.MaxSession)
		p.e.clients[id] = c.c.Peer()
		p.ask(q, &txn{kind: txCreateSession, session: id, timeout: timeout})
		return
	}
	id := p.enlist(q)
	if p.lead != nil {
		p.answered(&zab{kind: zabRevalidated, req: id, ok: p.lead.tracker.adopt(r.session, p.m.id, p.now())})
		return
	}
	p.follow.send(&zab{kind: zabRevalidate, session: r.session, req: id})
}

// enlist gives a request that waits for the ensemble its number.
func (p *peer) enlist(q *pending) uint64 {
	p.nextReq++
	p.asked[p.nextReq] = q
	return p.nextReq
}

// ask has a write proposed by the leader.
func (p *peer) ask(q *pending, x *txn) {
	x.from = origin{server: p.m.id, run: p.run, req: p.enlist(q)}
	if p.lead != nil {
		p.lead.request(nil, x)
		return
	}
	p.follow.send(&zab{kind: zabRequest, tx: x})
}

// touch notes that a session's client lives.
func (p *peer) touch(id int64) {
	if p.lead != nil {
		p.lead.touch(id)
		return
	}
	if !slices.Contains(p.touched, id) {
		p.touched = append(p.touched, id)
	}
}

// answered handles the leader's answer to a request that was not, or not yet, a transaction.
func (p *peer) answered(z *zab) {
	q := p.asked[z.req]
	if q == nil {
		return
	}
	delete(p.asked, z.req)
	c := q.c
	if c.dropped {
		return
	}
	switch z.kind {
	case zabReject:
		if z.code == codeSessionMoved {
			p.disconnect(c) // the client is elsewhere
			return
		}
		q.finish(&reply{code: z.code})
	case zabSynced:
		q.finish(&reply{path: q.r.path})
	case zabRevalidated:
		if !z.ok {
			q.last = true
			q.finish(&reply{timeout: q.r.timeout})
			return
		}
		timeout := q.r.timeout
		if s := p.tree.sessions[q.r.session]; s != nil {
			timeout = s.timeout
		}
		c.own(q.r.session)
		q.finish(&reply{session: q.r.session, timeout: timeout})
	}
}

// own makes this the connection of a session; an older one is closed.
func (c *clientConn) own(session int64) {
	for _, o := range slices.Clone(c.p.conns) {
		if o != c && o.session == session {
			c.p.disconnect(o)
		}
	}
	c.session = session
}

// applied answers the client that asked for a transaction, if it is connected here, and closes connections of sessions
// that have ended.
func (p *peer) applied(x *txn, out outcome) {
	if x.from.server == p.m.id && x.from.run == p.run {
		if q := p.asked[x.from.req]; q != nil {
			delete(p.asked, x.from.req)
			if !q.c.dropped {
				if x.kind == txCreateSession {
					q.c.own(x.session)
					q.finish(&reply{session: x.session, timeout: x.timeout, zxid: x.zxid})
				} else {
					q.finish(&reply{code: out.code, path: out.path, stat: out.stat, zxid: x.zxid})
				}
			}
		}
	}
	if x.kind == txCloseSession {
		for _, c := range slices.Clone(p.conns) {
			if c.session == x.session {
				p.disconnect(c)
			}
		}
	}
}

func (q *pending) finish(r *reply) {
	q.wait, q.reply = false, r
	q.c.drain()
}

// drain answers from the front of the queue: reads are executed when everything before them has been answered.
func (c *clientConn) drain() {
	for len(c.queue) > 0 && !c.dropped {
		q := c.queue[0]
		if q.wait {
			return
		}
		c.queue = c.queue[1:]
		r := q.reply
		if r == nil {
			r = c.read(q.r)
		}
		r.op, r.xid = q.r.op, q.r.xid
		if r.zxid == 0 {
			r.zxid = c.p.tree.zxid
		}
		c.send(r)
		if q.last {
			c.p.disconnect(c)
		}
	}
}

// read answers from what this server has applied.
func (c *clientConn) read(r *request) *reply {
	p := c.p
	z := p.tree.nodes[r.path]
	switch r.op {
	case opPing:
		return &reply{}
	case opSetWatches:
		c.resetWatches(r)
		return &reply{}
	}
	if !validPath(r.path, false) {
		return &reply{code: codeBadPath}
	}
	if z == nil {
		if r.op == opExists && r.watch {
			p.watches.set(watchExist, r.path, c)
		}
		return &reply{code: codeNoNode}
	}
	out := &reply{stat: z.stat(), path: r.path}
	kind := watchData
	switch r.op {
	case opGet:
		out.data = z.data
	case opChildren:
		out.children = slices.Clone(z.children)
		kind = watchChildren
	}
	if r.watch {
		p.watches.set(kind, r.path, c)
	}
	return out
}

// resetWatches sets the watches of a client that has come back, and tells at once what it has missed
// (DataTree.setWatches).
func (c *clientConn) resetWatches(r *request) {
	p := c.p
	for _, w := range r.watches {
		z := p.tree.nodes[w.path]
		switch {
		case w.kind == watchExist && z != nil:
			c.event(changeCreated, w.path)
		case w.kind == watchExist:
			p.watches.set(w.kind, w.path, c)
		case z == nil:
			c.event(changeDeleted, w.path)
		case w.kind == watchData && z.mzxid > r.zxid:
			c.event(changeData, w.path)
		case w.kind == watchChildren && z.pzxid > r.zxid:
			c.event(changeChildren, w.path)
		default:
			p.watches.set(w.kind, w.path, c)
		}
	}
}
