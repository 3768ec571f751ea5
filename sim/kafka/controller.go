package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// errResign: this controller has lost its office, or cannot go on.
var errResign = errors.New("kafka: controller resigns")

// controller is the active controller: one task that works off events one after the other, each to its end.
type controller struct {
	b        *server
	sess     port.Session
	epoch    int32
	resigned bool
	events   *rt.Queue[func(ctx context.Context) error]
	brokers  []brokerState // by id; epoch 0 is not registered
	parts    []*partState  // in order of topics and partitions
	byIdx    map[int]*partState
	topics   map[string]topicNode
	channels []*channel // by broker id
	dirty    bool       // there is a brokers' change that is not worked off
}

type brokerState struct {
	epoch    int64
	shutting bool
}

// partState is a partition as the controller has it; st is replaced, never changed.
type partState struct {
	ref     *tpRef
	st      *leaderAndISR
	unclean bool
}

func newController(b *server, sess port.Session, epoch int32) *controller {
	n := len(b.c.brokers) + 1
	return &controller{
		b: b, sess: sess, epoch: epoch, events: rt.NewQueue[func(context.Context) error](b.p, 0),
		brokers: make([]brokerState, n), channels: make([]*channel, n), byIdx: map[int]*partState{}, topics: map[string]topicNode{},
	}
}

func (k *controller) start() {
	k.b.controllerEpoch = max(k.b.controllerEpoch, k.epoch)
	k.b.meta.controller = k.b.id
	k.b.c.announce(port.Event{Kind: port.EventControllerUp, Node: k.b.name, Detail: fmt.Sprintf("controller epoch %d", k.epoch)})
	k.b.p.Go("controller", func(ctx context.Context) {
		err := k.load(ctx)
		for err == nil && !k.resigned {
			var event func(context.Context) error
			if event, err = k.events.Pop(ctx); err == nil {
				err = event(ctx)
			}
		}
		k.resign()
		k.vacate(ctx)
	})
	k.scheduleRebalance()
}

// resign ends the controller. It is safe to call more than once.
func (k *controller) resign() {
	if k.resigned {
		return
	}
	k.resigned = true
	k.events.Close()
	for _, ch := range k.channels {
		ch.close()
	}
}

// vacate gives up the office if this session still holds it, so that a controller is elected anew.
func (k *controller) vacate(ctx context.Context) {
	_, st, err := k.sess.Get(ctx, zkController)
	if err == nil && st.EphemeralOwner == k.sess.ID() {
		_ = k.sess.Delete(ctx, zkController, st.Version) // if that is lost the session is, too, or the next event tries again
	}
}

// do queues an event.
func (k *controller) do(event func(ctx context.Context) error) {
	if !k.resigned {
		k.events.TryPush(event)
	}
}

// try repeats a ZooKeeper operation while the connection is lost. A session that is over ends the controller.
func (k *controller) try(ctx context.Context, op func() error) error {
	err := retry(ctx, k.b.p, func() error {
		if k.resigned {
			return errResign
		}
		return op()
	})
	if errors.Is(err, port.ErrSessionExpired) {
		return errResign
	}
	return err
}

// load reads the cluster's state and brings everybody up to it (controller failover).
func (k *controller) load(ctx context.Context) error {
	live, err := k.readBrokers(ctx)
	if err != nil {
		return err
	}
	for id, epoch := range live {
		k.brokers[id].epoch = epoch
		k.open(int32(id))
	}
	var topics []string
	if err := k.try(ctx, func() (err error) { topics, err = k.sess.Children(ctx, zkTopics); return err }); err != nil {
		return err
	}
	var missing []string
	for _, topic := range topics {
		var data []byte
		if err := k.try(ctx, func() (err error) { data, _, err = k.sess.Get(ctx, topicPath(topic)); return err }); err != nil {
			return err
		}
		var t topicNode
		if err := json.Unmarshal(data, &t); err != nil {
			return fmt.Errorf("kafka: %s: %w", topicPath(topic), err)
		}
		k.topics[topic] = t
		for i, replicas := range t.Replicas {
			ps := k.enter(topic, int32(i), replicas, t)
			if err := k.readState(ctx, ps); errors.Is(err, port.ErrNoNode) {
				missing = append(missing, topic)
			} else if err != nil {
				return err
			}
		}
	}
	ch := k.newChange()
	for _, ps := range k.parts {
		ch.add(ps, ps.st.replicas...)
	}
	if err := k.flush(ch); err != nil {
		return err
	}
	for _, topic := range slices.Compact(missing) { // its creator did not finish
		if err := k.initialise(ctx, topic); err != nil {
			return err
		}
	}
	var dead []int32
	for id := 1; id < len(k.brokers); id++ {
		if !k.live(int32(id)) {
			dead = append(dead, int32(id))
		}
	}
	return k.brokersFailed(ctx, dead)
}

func (k *controller) live(id int32) bool {
	return id > 0 && int(id) < len(k.brokers) && k.brokers[id].epoch != 0
}

// readBrokers returns the registered brokers' epochs by id, and has the next change reported.
func (k *controller) readBrokers(ctx context.Context) ([]int64, error) {
	k.dirty = false
	var names []string
	err := k.try(ctx, func() error {
		var changed *rt.Future[port.WatchEvent]
		var err error
		if names, changed, err = k.sess.ChildrenW(ctx, zkBrokerIDs); err != nil {
			return err
		}
		changed.OnDone(func(port.WatchEvent, error) {
			if !k.dirty {
				k.dirty = true
				k.do(k.brokersChanged)
			}
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	live := make([]int64, len(k.brokers))
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil || id < 1 || id >= len(live) {
			continue
		}
		var st port.Stat
		err = k.try(ctx, func() (err error) { st, err = k.sess.Exists(ctx, brokerPath(int32(id))); return err })
		switch {
		case err == nil:
			live[id] = st.Czxid
		case !errors.Is(err, port.ErrNoNode):
			return nil, err
		}
	}
	return live, nil
}

// enter makes the controller's record of a partition.
func (k *controller) enter(topic string, part int32, replicas []int32, t topicNode) *partState {
	ref := k.b.c.ref(topic, part)
	ps := &partState{ref: ref, unclean: t.Unclean, st: &leaderAndISR{
		ref: ref, controllerEpoch: k.epoch, leader: noBroker, leaderEpoch: -1, partEpoch: -1, replicas: replicas, minISR: t.MinISR,
	}}
	k.parts = append(k.parts, ps)
	k.byIdx[ref.idx] = ps
	return ps
}

func (k *controller) readState(ctx context.Context, ps *partState) error {
	var data []byte
	var stat port.Stat
	if err := k.try(ctx, func() (err error) { data, stat, err = k.sess.Get(ctx, statePath(ps.ref)); return err }); err != nil {
		return err
	}
	var n stateNode
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("kafka: %s: %w", statePath(ps.ref), err)
	}
	if n.ControllerEpoch > k.epoch { // someone else is controller
		return errResign
	}
	st := *ps.st
	st.leader, st.leaderEpoch, st.isr, st.partEpoch = n.Leader, n.LeaderEpoch, n.ISR, stat.Version
	ps.st = &st
	return nil
}

// errMoved: the partition's state in ZooKeeper is not the one that was to be replaced.
var errMoved = errors.New("kafka: partition state has changed")

// write puts a partition's new state into ZooKeeper, on condition that nobody else has changed it, and tells observers.
func (k *controller) write(ctx context.Context, ps *partState, leader, leaderEpoch int32, isr []int32) error {
	st := *ps.st
	st.controllerEpoch, st.leader, st.leaderEpoch, st.isr = k.epoch, leader, leaderEpoch, isr
	data := encode(stateNode{k.epoch, leader, leaderEpoch, isr})
	version, uncertain := ps.st.partEpoch, false
	err := k.try(ctx, func() error {
		stat, err := k.sess.Set(ctx, statePath(ps.ref), data, version)
		st.partEpoch = stat.Version
		uncertain = uncertain || errors.Is(err, port.ErrUnknown)
		return err
	})
	if errors.Is(err, port.ErrBadVersion) {
		var now []byte
		var stat port.Stat
		if err := k.try(ctx, func() (err error) { now, stat, err = k.sess.Get(ctx, statePath(ps.ref)); return err }); err != nil {
			return err
		}
		if !uncertain || string(now) != string(data) || stat.Version != version+1 {
			if err := k.readState(ctx, ps); err != nil {
				return err
			}
			return errMoved
		}
		st.partEpoch, err = stat.Version, nil // our first attempt did it
	}
	if err != nil {
		return err
	}
	old := ps.st
	ps.st = &st
	k.b.c.committed(old, &st)
	return nil
}

// committed notes a new partition state and tells observers what it means. Kafka's own topic is of no interest to them.
func (c *Cluster) committed(old, st *leaderAndISR) {
	c.states[st.ref.idx] = st
	if st.ref.topic == offsetsTopic {
		return
	}
	if st.leaderEpoch > old.leaderEpoch && st.leader != noBroker && (st.leader != old.leader || old.leaderEpoch < 0) {
		c.announce(port.Event{Kind: port.EventLeaderElected, Node: c.byID(st.leader).name, Topic: st.ref.topic, Part: st.ref.part,
			Detail: fmt.Sprintf("leader epoch %d, ISR %v, before %d", st.leaderEpoch, st.isr, old.leader)})
	}
	if old.isr != nil && !slices.Equal(old.isr, st.isr) {
		node := ""
		if b := c.byID(st.leader); b != nil {
			node = b.name
		}
		c.announce(port.Event{Kind: port.EventISRChanged, Node: node, Topic: st.ref.topic, Part: st.ref.part,
			Detail: fmt.Sprintf("%v to %v, leader epoch %d", old.isr, st.isr, st.leaderEpoch)})
	}
}

// change collects what brokers are to be told.
type change struct {
	orders [][]leaderAndISR // LeaderAndIsr by broker id
	news   []leaderAndISR   // UpdateMetadata, for all
}

func (k *controller) newChange() *change {
	return &change{orders: make([][]leaderAndISR, len(k.brokers))}
}

// add has the given brokers obey a partition's new state, and all hear of it.
func (ch *change) add(ps *partState, to ...int32) {
	for _, id := range to {
		ch.orders[id] = append(ch.orders[id], *ps.st)
	}
	ch.news = append(ch.news, *ps.st)
}

// flush sends a change: orders before news, as Kafka does.
func (k *controller) flush(ch *change) error {
	if k.resigned {
		return errResign
	}
	addrs := k.addresses()
	for id := range k.channels {
		if len(ch.orders[id]) > 0 {
			k.send(int32(id), &leaderAndISRRequest{controller: k.b.id, controllerEpoch: k.epoch, brokerEpoch: k.brokers[id].epoch, parts: ch.orders[id]}, len(ch.orders[id]))
		}
	}
	for id := range k.channels {
		k.send(int32(id), &updateMetadataRequest{controller: k.b.id, controllerEpoch: k.epoch, brokerEpoch: k.brokers[id].epoch, brokers: addrs, parts: ch.news}, len(ch.news))
	}
	return nil
}

func (k *controller) addresses() []brokerAddr {
	var addrs []brokerAddr
	for id := range k.brokers {
		if k.live(int32(id)) {
			addrs = append(addrs, brokerAddr{int32(id), k.b.c.byID(int32(id)).name})
		}
	}
	return addrs
}

func (k *controller) send(id int32, body any, parts int) {
	if ch := k.channels[id]; ch != nil {
		ch.send(simnet.Message{Body: body, Size: headerBytes + 2*perPartBytes*parts, Sum: uint64(k.epoch)<<32 | uint64(parts)})
	}
}

// channel sends the controller's requests to one broker, in order, one at a time, each until it has an answer.
type channel struct {
	k      *controller
	id     int32
	rpc    *rpcConn
	queue  []simnet.Message
	busy   bool
	closed bool
}

func (k *controller) open(id int32) {
	k.channels[id].close()
	k.channels[id] = nil
	if k.live(id) {
		k.channels[id] = &channel{k: k, id: id}
	}
}

func (ch *channel) close() {
	if ch == nil || ch.closed {
		return
	}
	ch.closed = true
	ch.queue = nil
	if ch.rpc != nil {
		ch.rpc.close()
	}
}

func (ch *channel) send(m simnet.Message) {
	ch.queue = append(ch.queue, m)
	ch.next()
}

func (ch *channel) next() {
	if ch.busy || ch.closed || len(ch.queue) == 0 {
		return
	}
	b := ch.k.b
	if ch.rpc == nil || ch.rpc.dead {
		ch.rpc = dial(b.s, b.node, b.p, b.c.byID(ch.id).name, b.cfg.SocketTimeout, b.cfg.SocketTimeout, nil)
	}
	ch.busy = true
	ch.rpc.call(ch.queue[0], func(_ any, err error) {
		ch.busy = false
		if ch.closed {
			return
		}
		if err != nil {
			ch.busy = true
			b.p.After(channelBackoff, func() {
				ch.busy = false
				ch.next()
			})
			return
		}
		ch.queue = ch.queue[1:]
		ch.next()
	})
}
