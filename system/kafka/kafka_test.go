package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const topic = "events"

// broker is a broker that speaks the protocol over TCP and answers as told.
func broker(t *testing.T, extra map[string]sarama.MockResponse) *sarama.MockBroker {
	t.Helper()
	b := sarama.NewMockBroker(quiet{t}, 1)
	handlers := map[string]sarama.MockResponse{
		"ApiVersionsRequest":    versions(t),
		"InitProducerIDRequest": sarama.NewMockInitProducerIDResponse(t).SetProducerID(7),
		"MetadataRequest":       sarama.NewMockMetadataResponse(t).SetController(1).SetBroker(b.Addr(), 1).SetLeader(topic, 0, 1),
	}
	for k, v := range extra {
		handlers[k] = v
	}
	b.SetHandlerByMap(handlers)
	t.Cleanup(b.Close)
	return b
}

// versions is what a broker of 3.9 offers of what is used here.
func versions(t *testing.T) sarama.MockResponse {
	return sarama.NewMockApiVersionsResponse(t).SetApiKeys([]sarama.ApiVersionsResponseKey{
		{ApiKey: 0, MinVersion: 0, MaxVersion: 7}, {ApiKey: 1, MinVersion: 0, MaxVersion: 11},
		{ApiKey: 3, MinVersion: 0, MaxVersion: 7}, {ApiKey: 18, MinVersion: 0, MaxVersion: 3},
		{ApiKey: 8, MinVersion: 0, MaxVersion: 9}, {ApiKey: 9, MinVersion: 0, MaxVersion: 9}, {ApiKey: 10, MinVersion: 0, MaxVersion: 4},
		{ApiKey: 11, MinVersion: 0, MaxVersion: 9}, {ApiKey: 12, MinVersion: 0, MaxVersion: 4}, {ApiKey: 13, MinVersion: 0, MaxVersion: 5},
		{ApiKey: 14, MinVersion: 0, MaxVersion: 5}, {ApiKey: 22, MinVersion: 0, MaxVersion: 4},
	})
}

// quiet keeps what the mock broker says of closed connections out of the results.
type quiet struct{ *testing.T }

func (quiet) Log(...any)          {}
func (quiet) Logf(string, ...any) {}

func testLog(t *testing.T, seeds ...string) *Log {
	t.Helper()
	l, err := New(rt.NewWall(1), Options{Seeds: seeds})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func quickProducer() port.ProducerConfig {
	c := port.DefaultProducerConfig("test")
	c.RetryMax, c.RetryBackoff = 2, time.Millisecond
	return c
}

func withinTest(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestClassify(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	read := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	for _, c := range []struct {
		name    string
		err     error
		encoded int
		retries bool
		want    error
	}{
		{"never put into a request", sarama.ErrShuttingDown, 0, true, port.ErrRefused},
		{"no leader found before the first attempt", sarama.ErrLeaderNotAvailable, 0, true, port.ErrRefused},
		{"not enough replicas, without retries", sarama.ErrNotEnoughReplicas, 1, false, port.ErrRefused},
		{"not enough replicas, perhaps sent before", sarama.ErrNotEnoughReplicas, 1, true, port.ErrUnknown},
		{"not enough replicas, but an earlier attempt is not known", sarama.ErrNotEnoughReplicas, 2, true, port.ErrUnknown},
		{"not enough replicas after append", sarama.ErrNotEnoughReplicasAfterAppend, 1, false, port.ErrUnknown},
		{"too large", sarama.ErrMessageSizeTooLarge, 1, true, port.ErrTooLarge},
		{"not leader may come after the append", sarama.ErrNotLeaderForPartition, 1, false, port.ErrUnknown},
		{"unknown topic may come after the append", sarama.ErrUnknownTopicOrPartition, 1, false, port.ErrUnknown},
		{"timed out", sarama.ErrRequestTimedOut, 1, false, port.ErrUnknown},
		{"dial refused, without retries", dial, 1, false, port.ErrRefused},
		{"dial refused, perhaps sent before", dial, 1, true, port.ErrUnknown},
		{"connection reset", read, 1, false, port.ErrUnknown},
		{"wrapped", fmt.Errorf("kafka: %w", sarama.ErrInvalidTopic), 1, true, port.ErrRefused},
		{"shut down with a request out", sarama.ErrShuttingDown, 1, true, port.ErrUnknown},
		{"anything else", errors.New("what"), 1, true, port.ErrUnknown},
	} {
		got := classify(c.err, c.encoded, c.retries)
		if !errors.Is(got, c.want) || !errors.Is(got, c.err) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if errors.Is(got, port.ErrRefused) && errors.Is(got, port.ErrUnknown) {
			t.Errorf("%s: refused and unknown at once: %v", c.name, got)
		}
	}
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := New(rt.NewWall(1), Options{}); err == nil {
		t.Error("no seeds: expected an error")
	}
	if _, err := New(rt.NewWall(1), Options{Seeds: []string{"kafka1"}}); err == nil {
		t.Error("a seed without port: expected an error")
	}
	l := testLog(t, "127.0.0.1:1")
	for name, change := range map[string]func(*port.ProducerConfig){
		"read timeout not above the request timeout": func(c *port.ProducerConfig) { c.ReadTimeout = c.RequestTimeout },
		"no dial timeout":                func(c *port.ProducerConfig) { c.DialTimeout = 0 },
		"negative retries":               func(c *port.ProducerConfig) { c.RetryMax = -1 },
		"idempotent without retries":     func(c *port.ProducerConfig) { c.RetryMax = 0 },
		"idempotent with acks=1":         func(c *port.ProducerConfig) { c.Acks = port.AcksLeader },
		"idempotent with many in flight": func(c *port.ProducerConfig) { c.InFlight = 2 },
		"nothing in flight":              func(c *port.ProducerConfig) { c.InFlight = 0 },
		"no batch size":                  func(c *port.ProducerConfig) { c.MaxBatchBytes = 0 },
	} {
		c := port.DefaultProducerConfig("x")
		change(&c)
		if _, err := l.NewProducer(c); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
	if _, err := l.NewReader(port.DefaultReaderConfig("x"), topic, 0, -1); err == nil {
		t.Error("negative offset: expected an error")
	}
	c := port.DefaultReaderConfig("x")
	c.ReadTimeout = c.MaxWait
	if _, err := l.NewReader(c, topic, 0, 0); err == nil {
		t.Error("read timeout not above the long poll: expected an error")
	}
}

func TestDurableSettings(t *testing.T) {
	t.Parallel()
	l := testLog(t, "127.0.0.1:1")
	c, err := l.producerConfig(port.DefaultProducerConfig("shepherd1"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Producer.RequiredAcks != sarama.WaitForAll || !c.Producer.Return.Successes || !c.Producer.Return.Errors ||
		c.Metadata.AllowAutoTopicCreation || c.Version != sarama.V3_9_1_0 || c.Producer.Timeout >= c.Net.ReadTimeout ||
		c.Metadata.Retry.Max < c.Producer.Retry.Max || !c.Producer.Idempotent || c.Net.MaxOpenRequests != 1 {
		t.Errorf("not the durable settings: %+v, metadata %+v", c.Producer, c.Metadata)
	}
	for acks, want := range map[port.Acks]sarama.RequiredAcks{port.AcksNone: sarama.NoResponse, port.AcksLeader: sarama.WaitForLocal, port.AcksAll: sarama.WaitForAll} {
		p := port.DefaultProducerConfig("x")
		p.Acks, p.Idempotent = acks, acks == port.AcksAll
		if c, err := l.producerConfig(p); err != nil || c.Producer.RequiredAcks != want {
			t.Errorf("acks %d: %v, %v", acks, c.Producer.RequiredAcks, err)
		}
	}
}

func TestProduceOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  sarama.KError
		want error
	}{
		{"accepted", sarama.ErrNoError, nil},
		{"always refused for want of replicas is unknown once retried", sarama.ErrNotEnoughReplicas, port.ErrUnknown},
		{"timed out", sarama.ErrRequestTimedOut, port.ErrUnknown},
		{"too large for the broker", sarama.ErrMessageSizeTooLarge, port.ErrTooLarge},
		{"not authorised", sarama.ErrTopicAuthorizationFailed, port.ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := broker(t, map[string]sarama.MockResponse{"ProduceRequest": sarama.NewMockProduceResponse(t).SetVersion(7).SetError(topic, 0, c.err)})
			p, err := testLog(t, b.Addr()).NewProducer(quickProducer())
			if err != nil {
				t.Fatal(err)
			}
			ctx := withinTest(t)
			offset, err := p.Produce(topic, 0, port.Record{Value: []byte("x")}).Wait(ctx)
			if !errors.Is(err, c.want) || err == nil && offset < 0 {
				t.Errorf("offset %d, %v; want %v", offset, err, c.want)
			}
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestProduceThatDiesUnanswered: the leader takes a produce, perhaps appends it, and is gone; afterwards nobody listens at
// its address. That every later attempt was refused says nothing about the first.
func TestProduceThatDiesUnanswered(t *testing.T) {
	t.Parallel()
	leader, other := sarama.NewMockBroker(quiet{t}, 1), sarama.NewMockBroker(quiet{t}, 2)
	t.Cleanup(leader.Close)
	t.Cleanup(other.Close)
	for _, b := range []*sarama.MockBroker{leader, other} {
		b.SetHandlerByMap(map[string]sarama.MockResponse{
			"ApiVersionsRequest":    versions(t),
			"InitProducerIDRequest": sarama.NewMockInitProducerIDResponse(t).SetProducerID(7),
			"MetadataRequest":       sarama.NewMockMetadataResponse(t).SetController(2).SetBroker(leader.Addr(), 1).SetBroker(other.Addr(), 2).SetLeader(topic, 0, 1),
			"ProduceRequest":        sarama.NewMockProduceResponse(t).SetVersion(7),
		})
	}
	var dead atomic.Bool
	l, err := New(rt.NewWall(1), Options{Seeds: []string{other.Addr()}, Dial: func(network, address string, timeout time.Duration) (net.Conn, error) {
		if address != leader.Addr() {
			return net.DialTimeout(network, address, timeout)
		}
		if dead.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
		}
		c, err := net.DialTimeout(network, address, timeout)
		return dyingConn{c, &dead}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	cfg := quickProducer()
	cfg.RetryMax, cfg.RetryBackoff = 3, 20*time.Millisecond
	p, err := l.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := withinTest(t)
	if _, err := p.Produce(topic, 0, port.Record{Value: []byte("x")}).Wait(ctx); !errors.Is(err, port.ErrUnknown) || !dead.Load() {
		t.Errorf("%v (leader dead: %v), want unknown", err, dead.Load())
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

// dyingConn is a connection to a broker that dies once it has been sent a produce request.
type dyingConn struct {
	net.Conn
	dead *atomic.Bool
}

func (c dyingConn) Write(b []byte) (int, error) {
	const produceKey = 0
	n, err := c.Conn.Write(b)
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == produceKey {
		c.dead.Store(true)
		_ = c.Close()
	}
	return n, err
}

func TestProduceWithoutBrokerIsRefused(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := testLog(t, address).NewProducer(quickProducer())
	if err != nil {
		t.Fatal(err)
	}
	ctx := withinTest(t)
	if _, err := p.Produce(topic, 0, port.Record{Value: []byte("x")}).Wait(ctx); !errors.Is(err, port.ErrRefused) {
		t.Errorf("%v, want refused", err)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := p.Produce(topic, 0, port.Record{Value: []byte("x")}).Wait(ctx); !errors.Is(err, port.ErrRefused) {
		t.Errorf("after Close: %v, want refused", err)
	}
}

func TestProduceTooLarge(t *testing.T) {
	t.Parallel()
	p, err := testLog(t, "127.0.0.1:1").NewProducer(quickProducer())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Produce(topic, 0, port.Record{Value: make([]byte, 1_000_000)}).Wait(t.Context())
	if !errors.Is(err, port.ErrTooLarge) || !errors.Is(err, port.ErrRefused) {
		t.Errorf("%v, want too large and refused", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCloseGivesUpAsUnknown: the broker never answers a produce; Close must not wait longer than its context, and what
// was sent has an unknown outcome.
func TestCloseGivesUpAsUnknown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			t.Cleanup(func() { _ = c.Close() }) // held open, never answered
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	p, err := testLog(t, ln.Addr().String()).NewProducer(quickProducer())
	if err != nil {
		t.Fatal(err)
	}
	f := p.Produce(topic, 0, port.Record{Value: []byte("x")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ctx); err == nil {
		t.Error("Close with a record in flight and a context that has ended: expected an error")
	}
	if _, err := f.Wait(withinTest(t)); !errors.Is(err, port.ErrUnknown) {
		t.Errorf("%v, want unknown", err)
	}
}

func TestFreshestViewWins(t *testing.T) {
	t.Parallel()
	view := func(leader, epoch int32, isr ...int32) *sarama.MetadataResponse {
		return &sarama.MetadataResponse{Topics: []*sarama.TopicMetadata{{Name: topic, Partitions: []*sarama.PartitionMetadata{
			{ID: 0, Leader: leader, LeaderEpoch: epoch, Replicas: []int32{1, 2, 3}, Isr: isr},
		}}}}
	}
	// Broker 1 led, was cut off, and does not know that it has been deposed.
	got := freshest([]*sarama.MetadataResponse{view(1, 4, 1, 2, 3), view(2, 5, 2, 3), view(2, 5, 3, 2)}, topic)
	if len(got) != 1 || got[0].Leader != 2 || got[0].LeaderEpoch != 5 || len(got[0].ISR) != 2 {
		t.Errorf("%+v", got)
	}
	// Under one epoch the view that more share wins.
	got = freshest([]*sarama.MetadataResponse{view(2, 5, 2, 3), view(2, 5, 1, 2, 3), view(2, 5, 3, 1, 2)}, topic)
	if len(got) != 1 || len(got[0].ISR) != 3 {
		t.Errorf("%+v", got)
	}
	if got := freshest([]*sarama.MetadataResponse{view(2, 5)}, "other"); got != nil {
		t.Errorf("a topic that nobody knows: %+v", got)
	}
}

func TestAdminAsksEveryone(t *testing.T) {
	t.Parallel()
	b := broker(t, nil)
	l := testLog(t, b.Addr(), "127.0.0.1:1") // nobody listens at the second
	ctx := withinTest(t)
	ids, err := l.Admin().Brokers(ctx)
	if err != nil || len(ids) != 1 || ids[0] != 1 {
		t.Errorf("brokers %v, %v", ids, err)
	}
	parts, err := l.Admin().Describe(ctx, topic)
	if err != nil || len(parts) != 1 || parts[0].Leader != 1 {
		t.Errorf("%+v, %v", parts, err)
	}
	if _, err := testLog(t, "127.0.0.1:1").Admin().Brokers(ctx); err == nil {
		t.Error("no broker at all: expected an error")
	}
}

// TestTopicIsKnownEverywhere: of two brokers one learns of a topic late, and it is waited for.
func TestTopicIsKnownEverywhere(t *testing.T) {
	t.Parallel()
	early, late := sarama.NewMockBroker(quiet{t}, 1), sarama.NewMockBroker(quiet{t}, 2)
	knows := func() *sarama.MockMetadataResponse {
		return sarama.NewMockMetadataResponse(t).SetController(1).SetBroker(early.Addr(), 1).SetBroker(late.Addr(), 2)
	}
	early.SetHandlerByMap(map[string]sarama.MockResponse{"ApiVersionsRequest": versions(t), "MetadataRequest": knows().SetLeader(topic, 0, 1)})
	late.SetHandlerByMap(map[string]sarama.MockResponse{"ApiVersionsRequest": versions(t), "MetadataRequest": sarama.NewMockSequence(
		knows().SetError(topic, sarama.ErrUnknownTopicOrPartition), knows().SetLeader(topic, 0, -1), knows().SetLeader(topic, 0, 1))})
	t.Cleanup(early.Close)
	t.Cleanup(late.Close)
	a := testLog(t, early.Addr(), late.Addr()).Admin().(*admin)
	ctx := withinTest(t)
	for i, want := range []int{0, 0, 1} {
		parts, everywhere, err := a.describe(ctx, topic)
		if err != nil || len(parts) != 1 || everywhere != want {
			t.Errorf("look %d: %+v, %d partitions known everywhere, want %d; %v", i, parts, everywhere, want, err)
		}
	}
	if err := a.spread(ctx, topic, 1); err != nil {
		t.Error(err)
	}
}
