package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system/port"
)

// Bugs are defects that can be planted into the model to prove that a check catches them. The zero value is Kafka as it
// should be. It is separate from what an operator configures, so that no configuration can switch one on.
type Bugs struct {
	// TruncateToHighWatermark (K5): a replica that becomes follower truncates to its own high watermark, as Kafka did
	// before KIP-101, instead of asking the leader where its epoch ended.
	TruncateToHighWatermark bool
}

// Config is a cluster's configuration, by the names of Kafka's own properties. Zero durations and sizes take the
// defaults of [DefaultConfig].
type Config struct {
	Brokers int      // how many: broker ids 1..N on the network nodes kafka1..kafkaN
	Zones   []string // of the brokers, in order of their ids; missing ones are ""

	SessionTimeout     time.Duration // zookeeper.session.timeout.ms
	ReplicaLagTimeMax  time.Duration // replica.lag.time.max.ms; checked every half of it
	FetchWaitMax       time.Duration // replica.fetch.wait.max.ms
	FetchBackoff       time.Duration // replica.fetch.backoff.ms
	SocketTimeout      time.Duration // replica.socket.timeout.ms and controller.socket.timeout.ms
	ImbalanceInterval  time.Duration // leader.imbalance.check.interval.seconds; < 0 switches preferred elections off
	CheckpointInterval time.Duration // replica.high.watermark.checkpoint.interval.ms
	FlushInterval      time.Duration // how often what was written reaches the device (the kernel's write-back)
	StartupTime        time.Duration // from the start of the process to registration
	RetryRegister      time.Duration // pause while the znode of the old session lives
	ShutdownRetries    int           // controlled.shutdown.max.retries
	ShutdownBackoff    time.Duration // controlled.shutdown.retry.backoff.ms
	MaxMessageBytes    int           // message.max.bytes, of a batch
	FetchMaxBytes      int           // replica.fetch.max.bytes, per partition

	// Groups. The offsets topic is created when a coordinator is first asked for.
	OffsetsPartitions     int32         // offsets.topic.num.partitions
	OffsetsReplication    int16         // offsets.topic.replication.factor; by default 3, or as many as there are brokers
	OffsetsMinISR         int           // min.insync.replicas of the offsets topic; by default one less than its replicas
	OffsetsCommitTimeout  time.Duration // offsets.commit.timeout.ms: of every append to it
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms: how long an empty group waits for more members
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	GroupLoadTime         time.Duration // what a new coordinator takes to load one partition of the offsets topic

	// The service-time model: a broker works off its requests one after the other, each taking RequestCost plus
	// ByteCost for every byte.
	RequestCost time.Duration
	ByteCost    time.Duration

	Events port.Events
	Bugs   Bugs
}

// DefaultConfig is the configuration of the containers world (three brokers): fast failover, everything else as shipped.
func DefaultConfig() Config {
	return Config{
		Brokers:            3,
		SessionTimeout:     3 * time.Second,
		ReplicaLagTimeMax:  4 * time.Second,
		FetchWaitMax:       250 * time.Millisecond,
		FetchBackoff:       200 * time.Millisecond,
		SocketTimeout:      3 * time.Second,
		ImbalanceInterval:  10 * time.Second,
		CheckpointInterval: 5 * time.Second,
		FlushInterval:      30 * time.Second,
		StartupTime:        time.Second,
		RetryRegister:      200 * time.Millisecond,
		ShutdownRetries:    2,
		ShutdownBackoff:    500 * time.Millisecond,
		MaxMessageBytes:    1048588,
		FetchMaxBytes:      1 << 20,

		OffsetsPartitions:    6,
		OffsetsCommitTimeout: 3 * time.Second,
		MinSessionTimeout:    500 * time.Millisecond,
		MaxSessionTimeout:    30 * time.Minute,
		GroupLoadTime:        20 * time.Millisecond,

		RequestCost: 40 * time.Microsecond,
		ByteCost:    2 * time.Nanosecond,
		Events:      port.Discard{},
	}
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) fill() {
	d := DefaultConfig()
	orDefault(&c.Brokers, d.Brokers)
	orDefault(&c.SessionTimeout, d.SessionTimeout)
	orDefault(&c.ReplicaLagTimeMax, d.ReplicaLagTimeMax)
	orDefault(&c.FetchWaitMax, d.FetchWaitMax)
	orDefault(&c.FetchBackoff, d.FetchBackoff)
	orDefault(&c.SocketTimeout, d.SocketTimeout)
	orDefault(&c.ImbalanceInterval, d.ImbalanceInterval)
	orDefault(&c.CheckpointInterval, d.CheckpointInterval)
	orDefault(&c.FlushInterval, d.FlushInterval)
	orDefault(&c.StartupTime, d.StartupTime)
	orDefault(&c.RetryRegister, d.RetryRegister)
	orDefault(&c.ShutdownRetries, d.ShutdownRetries)
	orDefault(&c.ShutdownBackoff, d.ShutdownBackoff)
	orDefault(&c.MaxMessageBytes, d.MaxMessageBytes)
	orDefault(&c.FetchMaxBytes, d.FetchMaxBytes)
	orDefault(&c.OffsetsPartitions, d.OffsetsPartitions)
	orDefault(&c.OffsetsReplication, int16(min(3, c.Brokers)))
	orDefault(&c.OffsetsMinISR, max(1, int(c.OffsetsReplication)-1))
	orDefault(&c.OffsetsCommitTimeout, d.OffsetsCommitTimeout)
	orDefault(&c.MinSessionTimeout, d.MinSessionTimeout)
	orDefault(&c.MaxSessionTimeout, d.MaxSessionTimeout)
	orDefault(&c.GroupLoadTime, d.GroupLoadTime)
	if c.Events == nil {
		c.Events = port.Discard{}
	}
}

// broker is a broker as a machine: its network node and disk outlive its process.
type broker struct {
	id   int32
	name string
	node *simnet.Node
	disk *brokerDisk
	run  *server // the running incarnation, nil if the process is down
}

type refKey struct {
	topic string
	part  int32
}

// Cluster is a simulated Kafka cluster.
type Cluster struct {
	s       *sched.Sim
	n       *simnet.Network
	zk      *zookeeper.Ensemble
	cfg     Config
	brokers []*broker
	refs    map[refKey]*tpRef
	refList []*tpRef
	rnd     *rand.Rand // of the machines; clients have their own
	clients int
	// producerIDs is how many were given out.
	producerIDs int64
	// operator never dies: what waits for a broker from outside waits on it.
	operator *sched.Process
	// states is every partition's state as last written to ZooKeeper, by index: the truth, for observers only. No
	// broker or client reads it.
	states []*leaderAndISR
}

// New makes a cluster of stopped brokers, and a network node for each.
func New(s *sched.Sim, n *simnet.Network, zk *zookeeper.Ensemble, cfg Config) *Cluster {
	cfg.fill()
	c := &Cluster{s: s, n: n, zk: zk, cfg: cfg, refs: map[refKey]*tpRef{}, rnd: s.Rand("kafka"), operator: s.Process("kafka-operator")}
	for i := range cfg.Brokers {
		zone := ""
		if i < len(cfg.Zones) {
			zone = cfg.Zones[i]
		}
		name := "kafka" + strconv.Itoa(i+1)
		c.brokers = append(c.brokers, &broker{id: int32(i + 1), name: name, node: n.AddNode(name, zone), disk: &brokerDisk{}})
	}
	return c
}

// ref interns a topic partition.
func (c *Cluster) ref(topic string, part int32) *tpRef {
	k := refKey{topic, part}
	r := c.refs[k]
	if r == nil {
		r = &tpRef{topic: topic, part: part, idx: len(c.refList)}
		c.refs[k] = r
		c.refList = append(c.refList, r)
		c.states = append(c.states, nil)
	}
	return r
}

func (c *Cluster) byID(id int32) *broker {
	if id < 1 || int(id) > len(c.brokers) {
		return nil
	}
	return c.brokers[id-1]
}

func (c *Cluster) named(name string) (*broker, error) {
	i := slices.IndexFunc(c.brokers, func(b *broker) bool { return b.name == name })
	if i < 0 {
		return nil, fmt.Errorf("kafka: no broker %q: there are kafka1 to kafka%d", name, len(c.brokers))
	}
	return c.brokers[i], nil
}

// StartBroker starts a broker's process on its disk. It returns at once; the broker registers itself in ZooKeeper, which
// takes until the session of an earlier incarnation has ended. Starting a running broker is an error.
func (c *Cluster) StartBroker(name string) error {
	b, err := c.named(name)
	if err != nil {
		return err
	}
	if b.run != nil && b.run.p.Alive() {
		return fmt.Errorf("kafka: broker %s is running", name)
	}
	p := c.s.Process(name)
	b.node.Start(p)
	b.run = newServer(c, b, p)
	b.run.start()
	return nil
}

// KillBroker kills the process (kill -9). What it had written stays: the page cache belongs to the machine.
func (c *Cluster) KillBroker(name string) error {
	b, err := c.running(name)
	if err != nil {
		return err
	}
	c.down(b)
	return nil
}

// PowerOff cuts the machine's power: what had not been flushed to the device is gone, but for a lucky prefix.
func (c *Cluster) PowerOff(name string) error {
	b, err := c.named(name)
	if err != nil {
		return err
	}
	if b.run != nil {
		c.down(b)
	}
	for _, l := range b.disk.logs {
		if l != nil {
			l.losePower(c.rnd)
		}
	}
	return nil
}

// WipeBroker gives a stopped broker an empty disk, as a replacement machine has.
func (c *Cluster) WipeBroker(name string) error {
	b, err := c.named(name)
	if err != nil {
		return err
	}
	if b.run != nil {
		return fmt.Errorf("kafka: broker %s is running: stop or kill it before its disk is replaced", name)
	}
	b.disk = &brokerDisk{}
	return nil
}

// StopBroker shuts a broker down in order (SIGTERM): it asks the controller to move its leaders first, then ends its
// ZooKeeper session and its process. It returns when the process has ended, or kills it when ctx ends.
func (c *Cluster) StopBroker(ctx context.Context, name string) error {
	b, err := c.running(name)
	if err != nil {
		return err
	}
	srv := b.run
	err = srv.shutdown(ctx)
	if b.run == srv {
		c.down(b)
	}
	return err
}

// PauseBroker freezes the process (SIGSTOP); the kernel goes on accepting connections and data.
func (c *Cluster) PauseBroker(name string) error {
	b, err := c.running(name)
	if err == nil {
		b.run.p.Pause()
	}
	return err
}

// ResumeBroker lets a paused process go on.
func (c *Cluster) ResumeBroker(name string) error {
	b, err := c.running(name)
	if err == nil {
		b.run.p.Resume()
	}
	return err
}

func (c *Cluster) running(name string) (*broker, error) {
	b, err := c.named(name)
	if err == nil && b.run == nil {
		err = fmt.Errorf("kafka: broker %s is not running", name)
	}
	return b, err
}

func (c *Cluster) down(b *broker) {
	b.run.p.Kill()
	b.node.Stop()
	b.run = nil
}

func (c *Cluster) announce(e port.Event) { c.cfg.Events.Announce(e) }
