package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// metadataRefresh is how often a client refreshes its metadata without need (Sarama's Metadata.RefreshFrequency).
const metadataRefresh = 10 * time.Second

// client is one Kafka client as Sarama has it: a cache of metadata and one connection per broker.
type client struct {
	c           *Cluster
	node        *simnet.Node
	p           *sched.Process
	rnd         *rand.Rand
	dialTimeout time.Duration
	readTimeout time.Duration
	conns       []*rpcConn // by broker id
	leaders     []leaderOf // by partition index
	topics      []topicView
	alive       []brokerAddr // as the metadata has them
	refreshing  bool
	waiting     []func(error)
	lastRefresh time.Duration
	closed      bool
	// fenced: a view of a partition under an older leader epoch than one seen before is not believed (KIP-320). Sarama's
	// producer does not look at epochs; readers and the admin, which are not Sarama's own, do.
	fenced bool
}

type leaderOf struct {
	id    int32
	epoch int32
	known bool
}

// topicView is what the metadata last said of a topic.
type topicView struct {
	name string
	code code
	have bool
}

func (c *Cluster) newClient(node *simnet.Node, p *sched.Process, dialTimeout, readTimeout time.Duration) *client {
	c.clients++
	return &client{
		c: c, node: node, p: p, rnd: c.s.Rand(fmt.Sprintf("kafka/client/%d", c.clients)),
		dialTimeout: dialTimeout, readTimeout: readTimeout, conns: make([]*rpcConn, len(c.brokers)+1),
	}
}

// conn returns the connection to a broker, dialling if there is none.
func (k *client) conn(id int32) *rpcConn {
	c := k.conns[id]
	if c == nil || c.dead {
		c = dial(k.c.s, k.node, k.p, k.c.byID(id).name, k.dialTimeout, k.readTimeout, nil)
		k.conns[id] = c
	}
	return c
}

// leader returns the partition's leader as far as the client knows it.
func (k *client) leader(ref *tpRef) (leaderOf, bool) {
	if ref.idx < len(k.leaders) && k.leaders[ref.idx].known {
		if k.c.s.Now()-k.lastRefresh > metadataRefresh && !k.refreshing {
			k.refresh(ref.topic, nil)
		}
		return k.leaders[ref.idx], true
	}
	return leaderOf{}, false
}

// view returns what the metadata last said of a topic, entering it to be asked for.
func (k *client) view(topic string) *topicView {
	for i := range k.topics {
		if k.topics[i].name == topic {
			return &k.topics[i]
		}
	}
	k.topics = append(k.topics, topicView{name: topic})
	return &k.topics[len(k.topics)-1]
}

// refresh asks one broker after another for metadata, in random order, and takes the first answer, whatever that
// broker's view is worth: so does Sarama. done is called on the scheduler.
func (k *client) refresh(topic string, done func(error)) {
	k.view(topic)
	if done != nil {
		k.waiting = append(k.waiting, done)
	}
	if k.refreshing {
		return
	}
	k.refreshing = true
	names := make([]string, 0, len(k.topics))
	for i := range k.topics {
		if k.topics[i].name != "" {
			names = append(names, k.topics[i].name)
		}
	}
	k.askAny(k.order(), names)
}

// order is the brokers in the order in which they are asked: the bootstrap servers name them all.
func (k *client) order() []int32 {
	order := make([]int32, len(k.c.brokers))
	for i := range order {
		order[i] = int32(i + 1)
	}
	k.rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

func (k *client) askAny(order []int32, names []string) {
	if len(order) == 0 || k.closed {
		k.refreshed(errors.New("no broker answered a metadata request"))
		return
	}
	k.askMetadata(order[0], names, func(resp *metadataResponse, err error) {
		if err != nil || len(resp.brokers) == 0 { // a broker that has just started knows nothing yet
			k.askAny(order[1:], names)
			return
		}
		k.take(resp)
		k.refreshed(nil)
	})
}

func (k *client) askMetadata(id int32, names []string, done func(*metadataResponse, error)) {
	m := simnet.Message{Body: &metadataRequest{topics: names}, Size: headerBytes + 16*len(names), Sum: uint64(len(names))}
	k.conn(id).call(m, func(body any, err error) {
		resp, _ := body.(*metadataResponse)
		done(resp, err)
	})
}

// take replaces the cache by an answer.
func (k *client) take(resp *metadataResponse) {
	k.lastRefresh = k.c.s.Now()
	k.alive = resp.brokers
	for i := range resp.topics {
		t := &resp.topics[i]
		v := k.view(t.name)
		v.code, v.have = t.code, true
		for _, p := range t.parts {
			for len(k.leaders) <= p.ref.idx {
				k.leaders = append(k.leaders, leaderOf{})
			}
			l := &k.leaders[p.ref.idx]
			if k.fenced && p.epoch < l.epoch {
				continue
			}
			*l = leaderOf{id: p.leader, epoch: p.epoch, known: p.leader != noBroker}
		}
	}
}

func (k *client) refreshed(err error) {
	k.refreshing = false
	waiting := k.waiting
	k.waiting = nil
	for _, done := range waiting {
		done(err)
	}
}

// refreshWait is refresh for tasks.
func (k *client) refreshWait(ctx context.Context, topic string) error {
	f := rt.NewFuture[struct{}](k.p)
	k.refresh(topic, func(err error) { f.Complete(struct{}{}, err) })
	_, err := f.Wait(ctx)
	return err
}

// ask sends a request to a broker and waits for the answer: for tasks.
func (k *client) ask(ctx context.Context, id int32, m simnet.Message) (any, error) {
	f := rt.NewFuture[any](k.p)
	k.conn(id).call(m, func(body any, err error) { f.Complete(body, err) })
	return f.Wait(ctx)
}

func (k *client) close() {
	k.closed = true
	for _, c := range k.conns {
		if c != nil {
			c.close()
		}
	}
}

// everyone asks all brokers for metadata, and returns what came from those that answered soon.
func (k *client) everyone(ctx context.Context, topics []string) ([]*metadataResponse, error) {
	answers := rt.NewQueue[*metadataResponse](k.p, 0)
	order := k.order()
	for _, id := range order {
		k.askMetadata(id, topics, func(r *metadataResponse, _ error) { answers.TryPush(r) })
	}
	var resps []*metadataResponse
	wait := ctx
	for range order {
		r, err := answers.Pop(wait)
		if err != nil {
			break
		}
		if r == nil || len(r.brokers) == 0 {
			continue
		}
		resps = append(resps, r)
		if len(resps) == 1 {
			var cancel context.CancelFunc
			wait, cancel = k.p.WithTimeout(ctx, metadataPatience)
			defer cancel()
		}
	}
	if len(resps) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, errors.New("no broker answers metadata requests")
	}
	return resps, nil
}

// Client returns a Kafka client living in process p on a network node. Its producers, readers, admin and groups each have
// connections of their own, but for shared readers, which have one to each broker together. The value also has a method
// Groups() port.Groups.
func (c *Cluster) Client(node *simnet.Node, p *sched.Process) Client {
	return &logClient{c: c, node: node, p: p}
}

// Client is everything that a process has of Kafka.
type Client interface {
	port.Log
	Groups() port.Groups
}

// logClient implements Client.
type logClient struct {
	c     *Cluster
	node  *simnet.Node
	p     *sched.Process
	admin *admin
	// shared is the client of all shared readers, made for the first and with its timeouts.
	shared *client
	groups *groups
}

// NewProducer implements port.Log.
func (l *logClient) NewProducer(cfg port.ProducerConfig) (port.Producer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	return newProducer(l.c, l.node, l.p, cfg), nil
}

// NewReader implements port.Log.
func (l *logClient) NewReader(cfg port.ReaderConfig, topic string, partition int32, offset int64) (port.Reader, error) {
	if cfg.ReadTimeout <= cfg.MaxWait || cfg.MaxBytes <= 0 || offset < 0 {
		return nil, fmt.Errorf("kafka: reader %q of %s/%d: ReadTimeout %v must exceed MaxWait %v, MaxBytes %d must be positive, the offset %d not negative",
			cfg.ClientID, topic, partition, cfg.ReadTimeout, cfg.MaxWait, cfg.MaxBytes, offset)
	}
	ref := l.c.ref(topic, partition)
	if !cfg.Shared {
		return &reader{k: l.readerClient(cfg), cfg: cfg, ref: ref, offset: offset}, nil
	}
	if l.shared == nil {
		l.shared = l.readerClient(cfg)
	}
	return &reader{k: l.shared, cfg: cfg, ref: ref, offset: offset}, nil
}

func (l *logClient) readerClient(cfg port.ReaderConfig) *client {
	k := l.c.newClient(l.node, l.p, min(cfg.ReadTimeout, readerMaxDial), cfg.ReadTimeout)
	k.fenced = true
	return k
}

// Admin implements port.Log.
func (l *logClient) Admin() port.LogAdmin {
	if l.admin == nil {
		l.admin = &admin{k: l.c.newClient(l.node, l.p, adminDialTimeout, adminReadTimeout)}
		l.admin.k.fenced = true
	}
	return l.admin
}
