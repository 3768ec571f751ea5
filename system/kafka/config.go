package kafka

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Dial opens a connection to a broker's address, as the bootstrap list or the broker's metadata has it, within timeout.
type Dial func(network, address string, timeout time.Duration) (net.Conn, error)

// Options say where the cluster is.
type Options struct {
	// Seeds are addresses (host:port) of brokers; at least one, better all.
	Seeds []string
	// Dial replaces the ordinary TCP dialer, for brokers that advertise an address other than the one they can be
	// reached at. nil is the ordinary one.
	Dial Dial
}

// Log implements [port.Log]. Every producer, every reader that is not shared, the admin and the groups have connections
// of their own; shared readers have one client together.
type Log struct {
	r      rt.Runtime
	seeds  []string
	dial   Dial
	admin  *admin
	groups *groups
	shared sharing
}

// New makes a client of the cluster. It does not connect.
func New(r rt.Runtime, o Options) (*Log, error) {
	if len(o.Seeds) == 0 {
		return nil, errors.New("kafka: no broker address given: expected at least one host:port")
	}
	for _, s := range o.Seeds {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("kafka: broker address %q: expected host:port: %w", s, err)
		}
	}
	l := &Log{r: r, seeds: o.Seeds, dial: o.Dial}
	if l.dial == nil {
		l.dial = func(network, address string, timeout time.Duration) (net.Conn, error) {
			return net.DialTimeout(network, address, timeout)
		}
	}
	l.admin = newAdmin(l)
	l.groups = newGroups(l)
	return l, nil
}

// Close ends the connections of the admin, the groups and the shared readers. Producers and readers of their own are
// closed by who made them.
func (l *Log) Close() error {
	l.groups.close()
	return errors.Join(l.shared.close(), l.admin.close())
}

// Admin implements [port.Log].
func (l *Log) Admin() port.LogAdmin { return l.admin }

// Groups speaks the group protocol to this cluster.
func (l *Log) Groups() port.Groups { return l.groups }

// version is the protocol spoken: that of the last Kafka with ZooKeeper.
var version = sarama.V3_9_1_0

// metadataRefresh is how often a client looks at the metadata without need. Ten minutes, Sarama's default, would leave a
// reader at a deposed leader that is cut off from its peers but not from the reader.
const metadataRefresh = 10 * time.Second

// dialer hands Sarama's connections to Dial with the client's timeout.
type dialer struct {
	dial    Dial
	timeout time.Duration
}

// Dial implements Sarama's proxy dialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.dial(network, address, d.timeout)
}

// base is what all clients share.
func (l *Log) base(clientID string, dialTimeout, readTimeout time.Duration) *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = clientID
	c.Version = version
	c.MetricRegistry = noMetrics{}
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = dialTimeout, readTimeout, readTimeout
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dialer{l.dial, dialTimeout}
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.RefreshFrequency = metadataRefresh
	c.Metadata.Full = false // only topics in use; and a client can be made while no broker is up
	c.Metadata.Retry.Max = 0
	return c
}

// producerConfig translates the port's settings.
func (l *Log) producerConfig(p port.ProducerConfig) (*sarama.Config, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	c := l.base(p.ClientID, p.DialTimeout, p.ReadTimeout)
	c.Producer.RequiredAcks = sarama.RequiredAcks(p.Acks)
	c.Producer.Timeout = p.RequestTimeout
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = p.RetryMax, p.RetryBackoff
	// What bridges a leader election is the retry of the metadata: a partition without leader fails its whole backlog.
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = p.RetryMax, p.RetryBackoff
	if p.Idempotent {
		c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
		c.Producer.Transaction.Retry.Max = 0 // of asking for a producer ID: see connect
	}
	c.Producer.MaxMessageBytes = p.MaxBatchBytes
	c.Producer.Flush.Frequency = p.Linger
	c.Producer.Flush.Bytes = p.MaxBatchBytes / 2
	if p.Linger <= 0 { // bytes without a frequency might never flush
		c.Producer.Flush.Bytes = 0
	}
	c.ChannelBufferSize = 4096
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: producer %q: %w", p.ClientID, err)
	}
	return c, nil
}

// readerConfig translates the port's settings.
func (l *Log) readerConfig(r port.ReaderConfig) (*sarama.Config, error) {
	if r.ReadTimeout <= r.MaxWait || r.MaxBytes <= 0 {
		return nil, fmt.Errorf("kafka: reader %q: ReadTimeout %v must exceed MaxWait %v, MaxBytes %d must be positive",
			r.ClientID, r.ReadTimeout, r.MaxWait, r.MaxBytes)
	}
	c := l.base(r.ClientID, min(r.ReadTimeout, maxDial), r.ReadTimeout)
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: reader %q: %w", r.ClientID, err)
	}
	return c, nil
}

// maxDial is how long a reader and the admin wait for a connection.
const maxDial = time.Second
