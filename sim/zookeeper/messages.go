package zookeeper

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// ballot is a vote of fast leader election: whom a server wants to lead, and what that server had logged.
type ballot struct {
	leader int
	epoch  int64 // the proposed leader's current epoch
	zxid   int64 // the proposed leader's last logged transaction
}

// beats is the total order of votes: epoch, then history, then id (FastLeaderElection.totalOrderPredicate).
func (b ballot) beats(o ballot) bool {
	switch {
	case b.epoch != o.epoch:
		return b.epoch > o.epoch
	case b.zxid != o.zxid:
		return b.zxid > o.zxid
	}
	return b.leader > o.leader
}

// notification is a message between servers on the election service.
type notification struct {
	from  int
	state role
	round int64
	vote  ballot
}

func (n notification) message() simnet.Message {
	h := newHash(uint64(n.state)).int(int64(n.from)).int(n.round).int(int64(n.vote.leader)).int(n.vote.zxid)
	return simnet.Message{Body: n, Size: 60, Sum: uint64(h)}
}

// zabKind is the kind of a message between a leader and a follower.
type zabKind uint8

const (
	// Follower to leader.
	zabInfo       zabKind = iota + 1 // epoch: accepted; who I am
	zabAckEpoch                      // epoch: current, zxid: last logged, base: snapshot; counts: may count towards the quorum
	zabAckLeader                     // NEWLEADER is on disk; zxid: durable
	zabAck                           // zxid: durable
	zabPong                          // touched: sessions heard of since the last ping
	zabRequest                       // tx: to be proposed
	zabRevalidate                    // session, req
	zabSync                          // req
	// Leader to follower.
	zabEpoch    // epoch: the new one
	zabHistory  // truncate to zxid or start from snap, then entries; NEWLEADER follows at once
	zabUpToDate // zxid: committed
	zabPropose  // tx
	zabCommit   // zxid
	zabPing
	zabRevalidated // req, ok
	zabSynced      // req
	zabReject      // req, code
)

// zab is a message on the quorum service.
type zab struct {
	kind    zabKind
	from    int
	epoch   int64
	zxid    int64
	base    int64
	session int64
	req     uint64
	ok      bool
	code    code
	tx      *txn
	touched []int64
	snap    *tree
	entries []*txn
}

func (z *zab) message() simnet.Message {
	size := 40 + 8*len(z.touched)
	h := newHash(uint64(z.kind)).int(z.epoch).int(z.zxid).int(z.session).int(int64(z.req)).int(int64(z.code))
	if z.tx != nil {
		size += z.tx.size()
		h = h.int(int64(z.tx.sum()))
	}
	if z.snap != nil {
		size += z.snap.size()
		h = h.int(z.snap.zxid)
	}
	for _, x := range z.entries {
		size += x.size()
		h = h.int(int64(x.sum()))
	}
	for _, id := range z.touched {
		h = h.int(id)
	}
	return simnet.Message{Body: z, Size: size, Sum: uint64(h)}
}

// opcode is what a client asks for.
type opcode uint8

const (
	opConnect opcode = iota + 1
	opPing
	opCreate
	opSet
	opDelete
	opGet
	opExists
	opChildren
	opSync
	opSetWatches
	opClose
	opEvent // server to client, unasked
)

// tx returns the transaction that a write asks for.
func (o opcode) tx() txKind {
	switch o {
	case opCreate:
		return txCreate
	case opSet:
		return txSet
	case opDelete:
		return txDelete
	case opClose:
		return txCloseSession
	}
	panic(fmt.Sprintf("sim/zookeeper: operation %d is not a write", o))
}

// request is a message from a client.
type request struct {
	op      opcode
	xid     int64
	path    string
	data    []byte
	version int32
	mode    port.CreateMode
	watch   bool
	session int64         // opConnect: 0 for a new session
	timeout time.Duration // opConnect
	zxid    int64         // opConnect, opSetWatches: newest seen
	watches []watchKey    // opSetWatches
}

func (r *request) message() simnet.Message {
	size := 40 + len(r.path) + len(r.data)
	h := newHash(uint64(r.op)).int(r.xid).str(r.path).bytes(r.data).int(int64(r.version)).int(r.session).int(r.zxid)
	for _, w := range r.watches {
		size += 8 + len(w.path)
		h = h.int(int64(w.kind)).str(w.path)
	}
	return simnet.Message{Body: r, Size: size, Sum: uint64(h)}
}

// reply is a message to a client.
type reply struct {
	op       opcode
	xid      int64
	zxid     int64
	code     code
	path     string
	data     []byte
	stat     port.Stat
	children []string
	session  int64         // opConnect: 0 if the session has expired
	timeout  time.Duration // opConnect: as negotiated
	change   changeKind    // opEvent
}

func (r *reply) message() simnet.Message {
	size := 40 + len(r.path) + len(r.data)
	h := newHash(uint64(r.op)).int(r.xid).int(r.zxid).int(int64(r.code)).str(r.path).bytes(r.data).int(r.session)
	h = h.int(r.stat.Mzxid).int(int64(r.change))
	for _, c := range r.children {
		size += 4 + len(c)
		h = h.str(c)
	}
	return simnet.Message{Body: r, Size: size, Sum: uint64(h)}
}
