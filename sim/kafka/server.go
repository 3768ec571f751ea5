package kafka

import (
	"math/rand/v2"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// server is one incarnation of a broker's process.
type server struct {
	c    *Cluster
	s    *sched.Sim
	p    *sched.Process
	id   int32
	name string
	node *simnet.Node
	disk *brokerDisk
	cfg  *Config
	rnd  *rand.Rand

	epoch           int64 // broker epoch: the transaction that registered this incarnation (czxid)
	controllerEpoch int32 // highest seen; orders of lower ones are refused
	parts           []*partition
	hosted          []*partition // in order of their arrival
	meta            metadata
	fetchers        []*fetcher // by leader id
	toController    *rpcConn
	toControllerID  int32
	controller      *controller  // while this broker is the active controller
	groups          *coordinator // from the first request or order that concerns groups on
	registration    *registration
	listening       bool
	stopping        *rt.Future[struct{}] // set once a controlled shutdown began
}

func newServer(c *Cluster, b *broker, p *sched.Process) *server {
	srv := &server{
		c: c, s: c.s, p: p, id: b.id, name: b.name, node: b.node, disk: b.disk, cfg: &c.cfg, rnd: p.Rand(),
		meta: metadata{controller: noBroker, topics: map[string][]*tpRef{}}, fetchers: make([]*fetcher, len(c.brokers)+1),
	}
	return srv
}

func (b *server) start() {
	b.registration = &registration{b: b}
	b.p.Go("zookeeper", b.registration.run)
	b.every(b.cfg.CheckpointInterval, b.checkpoint)
	b.every(b.cfg.FlushInterval, b.flush)
	b.every(b.cfg.ReplicaLagTimeMax/2, b.shrinkISRs)
}

// every calls f periodically as long as the process lives.
func (b *server) every(d time.Duration, f func()) {
	var again func()
	again = func() {
		f()
		b.p.After(d, again)
	}
	b.p.After(d, again)
}

// listen opens the broker to requests; registered brokers only.
func (b *server) listen() {
	if b.listening {
		return
	}
	b.listening = true
	b.node.Listen(service, func(conn *simnet.Conn) {
		c := &srvConn{b: b, conn: conn}
		c.dispatchFn = c.dispatch
		c.timer.init(b.p, c.expired)
		conn.OnMessage(c.onMessage)
		conn.OnClose(func(error) { c.gone() })
	})
	b.node.Listen(probeService, func(conn *simnet.Conn) {
		conn.OnMessage(func(m simnet.Message) { conn.Send(simnet.Message{Size: m.Size}) })
	})
}

// probeService answers any message with one of the same size.
const probeService = "kafka.probe"

// ProbeService is a service on which every live broker answers one message with another: for health checks from outside.
func (c *Cluster) ProbeService() string { return probeService }

// partition returns the replica that this broker holds, or nil.
func (b *server) partition(ref *tpRef) *partition {
	if ref.idx < len(b.parts) {
		return b.parts[ref.idx]
	}
	return nil
}

// host returns the replica, opening its log if need be.
func (b *server) host(ref *tpRef) *partition {
	if p := b.partition(ref); p != nil {
		return p
	}
	for len(b.parts) <= ref.idx {
		b.parts = append(b.parts, nil)
	}
	l := b.disk.log(ref.idx)
	p := &partition{ref: ref, b: b, log: l, hw: min(max(l.checkpoint, l.start), l.end), leader: noBroker, leaderEpoch: noEpoch, partEpoch: -1}
	b.parts[ref.idx] = p
	b.hosted = append(b.hosted, p)
	return p
}

// checkpoint writes the high watermarks to disk.
func (b *server) checkpoint() {
	for _, p := range b.hosted {
		p.log.checkpoint = p.hw
	}
}

// flush is the kernel's write-back: everything written so far has reached the device.
func (b *server) flush() {
	for _, p := range b.hosted {
		p.log.flushed = p.log.end
	}
}

// metadata is a broker's cache of the cluster's state, as the controller last sent it.
type metadata struct {
	controller int32
	brokers    []brokerAddr
	parts      []*leaderAndISR // by partition index
	topics     map[string][]*tpRef
}

func (m *metadata) set(st *leaderAndISR) {
	for len(m.parts) <= st.ref.idx {
		m.parts = append(m.parts, nil)
	}
	if m.parts[st.ref.idx] == nil {
		refs := m.topics[st.ref.topic]
		for len(refs) <= int(st.ref.part) {
			refs = append(refs, nil)
		}
		refs[st.ref.part] = st.ref
		m.topics[st.ref.topic] = refs
	}
	m.parts[st.ref.idx] = st
}

// srvConn is the server's end of a connection. Kafka serves one request at a time per connection, in order: the next one
// is not looked at before the response is out, however long the request waits for data or for replicas.
type srvConn struct {
	b          *server
	conn       *simnet.Conn
	busy       bool
	closed     bool
	gen        uint32 // of the request in progress: what waits for an earlier one finds it changed
	cur        simnet.Message
	queue      []simnet.Message
	dispatchFn func()
	timer      timer

	fetching  *fetchRequest    // a fetch that waits for data
	producing *produceResponse // a produce that waits for replicas
	open      int              // partitions of it that still wait
	unsent    *fetchResponse   // what read filled in and nobody has sent
	session   []int64          // a follower's fetch session: the high watermark it was last told, by partition index
}

func (c *srvConn) onMessage(m simnet.Message) {
	if c.busy {
		c.queue = append(c.queue, m)
		return
	}
	c.begin(m)
}

func (c *srvConn) begin(m simnet.Message) {
	c.busy, c.cur = true, m
	c.b.node.Serve(c.b.cfg.RequestCost+time.Duration(m.Size)*c.b.cfg.ByteCost, c.dispatchFn)
}

func (c *srvConn) gone() {
	c.closed = true
	c.gen++
	c.timer.clear()
	c.fetching, c.producing, c.queue = nil, nil, nil
}

func (c *srvConn) respond(body any, size int, sum uint64) {
	if c.closed {
		return
	}
	c.conn.Send(simnet.Message{Body: body, Size: headerBytes + size, Sum: sum})
	c.done()
}

// done ends the request in progress and takes the next.
func (c *srvConn) done() {
	c.gen++
	c.busy, c.fetching, c.producing = false, nil, nil
	c.cur = simnet.Message{}
	c.timer.clear()
	if len(c.queue) > 0 {
		m := c.queue[0]
		c.queue = c.queue[1:]
		c.begin(m)
	}
}

// dispatch handles the request in progress.
func (c *srvConn) dispatch() {
	if c.closed {
		return
	}
	b := c.b
	switch r := c.cur.Body.(type) {
	case *produceRequest:
		c.produce(r)
	case *fetchRequest:
		c.fetch(r)
	case *epochEndRequest:
		b.epochEnds(c, r)
	case *listOffsetsRequest:
		b.listOffsets(c, r)
	case *initProducerIDRequest:
		c.initProducerID()
	case *metadataRequest:
		b.answerMetadata(c, r)
	case *leaderAndISRRequest:
		c.respond(&ackResponse{b.becomeLeaderOrFollower(r)}, 4, uint64(r.controllerEpoch))
	case *updateMetadataRequest:
		c.respond(&ackResponse{b.updateMetadata(r)}, 4, uint64(r.controllerEpoch))
	case *stopReplicaRequest:
		c.respond(&ackResponse{b.stopReplicas(r)}, 4, uint64(r.controllerEpoch))
	case *alterPartitionRequest:
		b.askController(c, func(k *controller, answer func(any, int)) { k.alterPartition(r, answer) },
			&alterPartitionResponse{code: codeNotController})
	case *createTopicRequest:
		b.askController(c, func(k *controller, answer func(any, int)) { k.createTopic(r, answer) },
			&createTopicResponse{code: codeNotController})
	case *createPartitionsRequest:
		b.askController(c, func(k *controller, answer func(any, int)) { k.createPartitions(r, answer) },
			&createPartitionsResponse{code: codeNotController})
	case *controlledShutdownRequest:
		b.askController(c, func(k *controller, answer func(any, int)) { k.controlledShutdown(r, answer) },
			&controlledShutdownResponse{code: codeNotController})
	case groupRequest:
		r.serve(b.coordinator(), c)
	}
}

// askController hands a request to the controller if it is here, and answers when it has.
func (b *server) askController(c *srvConn, ask func(*controller, func(any, int)), refuse any) {
	if b.controller == nil || b.controller.resigned {
		c.respond(refuse, 8, 1)
		return
	}
	gen := c.gen
	ask(b.controller, func(body any, size int) {
		if c.gen == gen {
			c.respond(body, size, 2)
		}
	})
}

// expired ends the wait of the request in progress.
func (c *srvConn) expired() {
	switch {
	case c.fetching != nil:
		resp, _ := c.read(c.fetching)
		c.answerFetch(resp)
	case c.producing != nil:
		c.respondProduce() // what still waits carries REQUEST_TIMED_OUT
	}
}

func (b *server) answerMetadata(c *srvConn, r *metadataRequest) {
	resp := &metadataResponse{brokers: b.meta.brokers, controller: b.meta.controller}
	size := 8 + 16*len(resp.brokers)
	sum := uint64(uint32(resp.controller))
	for _, name := range r.topics {
		t := topicMetadata{name: name}
		refs := b.meta.topics[name]
		if refs == nil {
			t.code = codeUnknownTopicOrPartition
		}
		for _, ref := range refs {
			if ref == nil {
				continue
			}
			st := b.meta.parts[ref.idx]
			t.parts = append(t.parts, partitionMetadata{ref: ref, leader: st.leader, epoch: st.leaderEpoch, partEpoch: st.partEpoch, replicas: st.replicas, isr: st.isr})
			size += perPartBytes + 8*len(st.replicas)
			sum = sum*31 + uint64(uint32(st.leader))<<32 + uint64(uint32(st.partEpoch))
		}
		resp.topics = append(resp.topics, t)
	}
	c.respond(resp, size, sum)
}
