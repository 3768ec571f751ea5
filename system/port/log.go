package port

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// Errors of the Log port, beside [ErrRefused] and [ErrUnknown].
var (
	// ErrOffsetOutOfRange: the offset asked for is below the log's start or above its end (the log was truncated or expired).
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrNoTopic: the topic or partition does not exist.
	ErrNoTopic = errors.New("no such topic or partition")
	// ErrExists: the topic exists already.
	ErrExists = errors.New("already exists")
	// ErrTooLarge: a record exceeds max.message.bytes. It also matches ErrRefused.
	ErrTooLarge = errors.New("record too large")
)

// Acks is what the leader waits for before it answers a produce (Kafka's acks setting).
type Acks int8

// Acks settings.
const (
	AcksNone   Acks = 0
	AcksLeader Acks = 1
	AcksAll    Acks = -1
)

// Record is one Kafka record. The log does not interpret Value; the caller must not modify it afterwards.
type Record struct {
	Key   []byte
	Value []byte
	Time  time.Time // CreateTime
	// Number, if it is not 0, is the record's number in the order in which its sender has sent all of its records. It travels as
	// a header, and tells whoever reads the log whether a producer's retries have changed the order.
	Number uint64
}

// ProducerConfig is what the pipeline sets on its Kafka producer. Defaults are in [DefaultProducerConfig].
type ProducerConfig struct {
	ClientID       string
	Acks           Acks
	RequestTimeout time.Duration // how long the broker may wait for the ISR (request.timeout.ms of a produce)
	ReadTimeout    time.Duration // how long the client waits for an answer before it drops the connection; > RequestTimeout
	DialTimeout    time.Duration
	RetryMax       int // retries of a batch, with RetryBackoff between
	RetryBackoff   time.Duration
	Linger         time.Duration // how long records are gathered into a batch
	MaxBatchBytes  int
	// Idempotent numbers the batches so that the brokers drop what a retry sends again, and refuse what comes out of order
	// (KIP-98). It needs AcksAll, at least one retry, and InFlight 1.
	Idempotent bool
	// InFlight is how many batches of one partition may be on their way at once, 1 to 5. With more than one and without
	// Idempotent, a batch that is sent again may come after one that was sent later. Sarama sends one at a time whatever this says.
	InFlight int
}

// Check says what no producer can be made of; nil if there is nothing.
func (c ProducerConfig) Check() error {
	switch {
	case c.ReadTimeout <= c.RequestTimeout || c.DialTimeout <= 0 || c.RetryMax < 0 || c.MaxBatchBytes <= 0:
		return fmt.Errorf("kafka: producer %q: ReadTimeout %v must exceed RequestTimeout %v, DialTimeout %v and MaxBatchBytes %d must be positive, RetryMax %d not negative",
			c.ClientID, c.ReadTimeout, c.RequestTimeout, c.DialTimeout, c.MaxBatchBytes, c.RetryMax)
	case c.InFlight < 1 || c.InFlight > 5:
		return fmt.Errorf("kafka: producer %q: InFlight is %d, expected 1 to 5", c.ClientID, c.InFlight)
	case c.Idempotent && (c.Acks != AcksAll || c.RetryMax < 1 || c.InFlight != 1):
		return fmt.Errorf("kafka: producer %q: an idempotent producer needs acks=all, a retry at least and one batch in flight, not acks=%d, %d retries and %d batches",
			c.ClientID, c.Acks, c.RetryMax, c.InFlight)
	}
	return nil
}

// DefaultProducerConfig is the durable setting: acks=all, idempotent, retries that outlast a leader election.
func DefaultProducerConfig(clientID string) ProducerConfig {
	return ProducerConfig{
		ClientID:       clientID,
		Acks:           AcksAll,
		RequestTimeout: 3 * time.Second,
		ReadTimeout:    4 * time.Second,
		DialTimeout:    time.Second,
		RetryMax:       60,
		RetryBackoff:   100 * time.Millisecond,
		Linger:         2 * time.Millisecond,
		MaxBatchBytes:  900_000,
		Idempotent:     true,
		InFlight:       1,
	}
}

// ReaderConfig is what the pipeline sets on a partition reader.
type ReaderConfig struct {
	ClientID    string
	MaxWait     time.Duration // fetch.wait.max: how long the broker may hold a fetch that has nothing to return
	MaxBytes    int           // per fetch; at least one record is returned
	ReadTimeout time.Duration
	Backoff     time.Duration // pause after an error before the next attempt inside the client
	// Shared readers of one Log use one client, hence one connection to each broker: a broker answers a connection's
	// requests one after the other, so a fetch waits for those before it. Others have a client of their own each.
	Shared bool
}

// DefaultReaderConfig keeps the long poll short, because one connection per broker carries everything of a client.
func DefaultReaderConfig(clientID string) ReaderConfig {
	return ReaderConfig{ClientID: clientID, MaxWait: 100 * time.Millisecond, MaxBytes: 1 << 20, ReadTimeout: 4 * time.Second, Backoff: 200 * time.Millisecond}
}

// Log is a Kafka client. One Log belongs to one process; connections are shared per broker as the real client does
// (producers and readers of one Log each have their own client, hence their own connections).
type Log interface {
	NewProducer(cfg ProducerConfig) (Producer, error)
	// NewReader reads one partition from offset on. It does not connect before the first Fetch.
	NewReader(cfg ReaderConfig, topic string, partition int32, offset int64) (Reader, error)
	Admin() LogAdmin
}

// Producer appends records. It batches inside, as the real client does, and retries until its configuration is spent.
type Producer interface {
	// Produce queues one record and returns at once. The future's value is the record's offset (-1 if the broker did
	// not say: acks=0). Its error matches ErrRefused if the record is certainly not in the log, else the outcome is unknown.
	Produce(topic string, partition int32, rec Record) *rt.Future[int64]
	// Close waits for what is in flight until ctx ends; what is left then fails with an unknown outcome.
	Close(ctx context.Context) error
}

// Fetched is one record as read back.
type Fetched struct {
	Offset int64
	Record
}

// Batch is what one Fetch returned: records in offset order, possibly none, which must not be changed, because readers may share
// them. HighWatermark is the partition's at that moment.
type Batch struct {
	Records       []Fetched
	HighWatermark int64
}

// Reader reads one partition in offset order, up to the high watermark.
type Reader interface {
	// Fetch blocks for at most about MaxWait when there is nothing to read, then returns an empty batch. Leader changes
	// and broken connections are retried inside until ctx ends. ErrOffsetOutOfRange and ErrNoTopic are returned.
	Fetch(ctx context.Context) (Batch, error)
	// Offset is the next offset that Fetch will ask for.
	Offset() int64
	Close()
}

// TopicSpec describes a topic to create.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int16
	MinISR      int
	// Assignment, if it is not empty, says for each partition the brokers that hold it, the preferred leader first. Otherwise the
	// controller chooses.
	Assignment [][]int32
	// Unclean allows unclean leader election.
	Unclean bool
}

// PartitionState is one partition as the cluster's metadata has it.
type PartitionState struct {
	Partition   int32
	Leader      int32 // broker id, -1 if there is none
	LeaderEpoch int32
	Replicas    []int32
	ISR         []int32
}

// LogAdmin is the administrative client.
type LogAdmin interface {
	// CreateTopic returns nil also when the topic exists with the same shape, else ErrExists.
	CreateTopic(ctx context.Context, spec TopicSpec) error
	// GrowTopic gives a topic more partitions, total in all, and returns once each has a leader. What is there stays as it
	// is, and the new ones are empty. It returns nil also when the topic has as many already. ErrRefused: it has more, for
	// partitions cannot be taken away. ErrNoTopic: there is no such topic.
	GrowTopic(ctx context.Context, topic string, total int32) error
	// Describe returns the partitions of a topic in order, as the controller (or the freshest live broker) sees them.
	Describe(ctx context.Context, topic string) ([]PartitionState, error)
	// Brokers lists the ids of live brokers in ascending order, as the metadata has them.
	Brokers(ctx context.Context) ([]int32, error)
	// Offsets returns the log start offset and the high watermark of a partition.
	Offsets(ctx context.Context, topic string, partition int32) (start, highWatermark int64, err error)
}
