package kafka

import (
	"fmt"
	"unicode/utf16"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

// offsetsTopic is Kafka's own topic of groups and committed offsets.
const offsetsTopic = "__consumer_offsets"

// coordinator is a broker's group coordinator: it serves the groups whose partition of the offsets topic this broker
// leads, as Kafka 3.9's classic coordinator does. All that has to outlive it is in that partition's log.
type coordinator struct {
	b        *server
	parts    []ownership       // by partition of the offsets topic
	groups   map[string]*group // of all loaded partitions
	creating bool              // the controller has been asked to create the offsets topic
}

// ownership is what a broker has to do with one partition of the offsets topic.
type ownership struct {
	state  ownerState
	term   int      // counts the changes of state
	groups []*group // in order of their coming
}

type ownerState uint8

const (
	notOwned ownerState = iota
	loading
	owned
)

func (b *server) coordinator() *coordinator {
	if b.groups == nil {
		b.groups = &coordinator{b: b, parts: make([]ownership, b.cfg.OffsetsPartitions), groups: map[string]*group{}}
	}
	return b.groups
}

// coordinate follows the leadership of a partition of the offsets topic.
func (b *server) coordinate(p *partition) {
	co := b.coordinator()
	if int(p.ref.part) >= len(co.parts) {
		return // somebody has made the topic with more partitions than configured: no group goes there
	}
	own := &co.parts[p.ref.part]
	own.term++
	if !p.isLeader {
		own.state = notOwned
		groups := own.groups
		own.groups = nil
		for _, g := range groups {
			delete(co.groups, g.id)
			g.unload()
		}
		return
	}
	own.state = loading
	term := own.term
	b.p.After(b.cfg.GroupLoadTime, func() {
		if own.term == term {
			co.load(p, own)
			own.state = owned
		}
	})
}

// load reads a partition of the offsets topic from its beginning to the log's end; the last record of a key counts.
func (co *coordinator) load(p *partition, own *ownership) {
	for _, batch := range p.log.batches {
		for i := range batch.recs {
			rec, err := decodeGroupRecord(&batch.recs[i].Record)
			if err != nil {
				panic(err) // nobody else writes to this topic
			}
			g := co.groups[rec.group]
			if g == nil {
				g = co.add(rec.group)
			}
			if rec.meta != nil {
				g.restore(rec.meta)
			} else {
				g.setOffset(rec.topic, rec.offset)
			}
		}
	}
	for _, g := range own.groups {
		for _, m := range g.members {
			g.expectHeartbeat(m, m.sessionTimeout)
		}
	}
}

// add makes a group that nobody knows yet.
func (co *coordinator) add(id string) *group {
	part := co.partitionFor(id)
	g := newGroup(co, id, co.b.c.ref(offsetsTopic, part))
	co.groups[id] = g
	own := &co.parts[part]
	own.groups = append(own.groups, g)
	return g
}

// partitionFor is the partition of the offsets topic that holds a group.
func (co *coordinator) partitionFor(group string) int32 {
	return OffsetsPartition(group, co.b.cfg.OffsetsPartitions)
}

// OffsetsPartition is the partition of the offsets topic that holds a group: by the hash of Java's strings, as in Kafka.
func OffsetsPartition(group string, partitions int32) int32 {
	h := int32(0)
	for _, u := range utf16.Encode([]rune(group)) {
		h = 31*h + int32(u)
	}
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % partitions
}

// check says whether this broker can serve a group now.
func (co *coordinator) check(group string) code {
	if group == "" {
		return codeInvalidGroupID
	}
	switch co.parts[co.partitionFor(group)].state {
	case loading:
		return codeCoordinatorLoadInProgress
	case owned:
		return codeNone
	}
	return codeNotCoordinator
}

// serve finds a group's coordinator by this broker's metadata: any broker is asked that.
func (r *findCoordinatorRequest) serve(co *coordinator, c *srvConn) {
	b := co.b
	resp := &findCoordinatorResponse{code: codeCoordinatorNotAvailable, broker: noBroker}
	defer func() { c.respond(resp, 12, uint64(uint32(resp.broker))<<8|uint64(resp.code)) }()
	if r.group == "" {
		resp.code = codeInvalidGroupID
		return
	}
	refs := b.meta.topics[offsetsTopic]
	if refs == nil {
		co.createTopic()
		return
	}
	part := co.partitionFor(r.group)
	if int(part) >= len(refs) || refs[part] == nil {
		return
	}
	if leader := b.meta.parts[refs[part].idx].leader; b.meta.alive(leader) {
		resp.code, resp.broker = codeNone, leader
	}
}

// alive says whether a broker is in the metadata.
func (m *metadata) alive(id int32) bool {
	for _, b := range m.brokers {
		if b.id == id {
			return true
		}
	}
	return false
}

// createTopic asks the controller to create the offsets topic, one request at a time.
func (co *coordinator) createTopic() {
	b := co.b
	if co.creating || len(b.meta.brokers) < int(b.cfg.OffsetsReplication) {
		return
	}
	conn := b.controllerConn()
	if conn == nil {
		return
	}
	co.creating = true
	spec := port.TopicSpec{Name: offsetsTopic, Partitions: b.cfg.OffsetsPartitions, Replication: b.cfg.OffsetsReplication, MinISR: b.cfg.OffsetsMinISR}
	conn.call(simnet.Message{Body: &createTopicRequest{spec}, Size: headerBytes + len(offsetsTopic), Sum: uint64(spec.Partitions)}, func(any, error) {
		co.creating = false // whatever came of it, who needs it asks again
	})
}

// respondGroup answers a request of the group protocol unless its connection has gone on without it.
func (c *srvConn) respondGroup(gen uint32, body any, size int, sum uint64) {
	if c.gen == gen {
		c.respond(body, size, sum)
	}
}

// announce tells observers of a group.
func (g *group) announce(kind, format string, args ...any) {
	g.co.b.c.announce(port.Event{Kind: kind, Node: g.co.b.name, Detail: fmt.Sprintf("group %s: ", g.id) + fmt.Sprintf(format, args...)})
}

// Coordinator names the broker that coordinates a group, by the state in ZooKeeper; "" if there is none.
func (c *Cluster) Coordinator(group string) string {
	return c.Leader(offsetsTopic, OffsetsPartition(group, c.cfg.OffsetsPartitions))
}
