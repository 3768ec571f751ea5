package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// numbered is what a batch that was sent says of itself.
type numbered struct {
	producer int64
	epoch    int16
	first    int32
}

// wire listens in on what is produced.
type wire struct {
	mu   sync.Mutex
	sent []numbered
}

type tapped struct {
	net.Conn
	w *wire
}

func (c tapped) Write(b []byte) (int, error) {
	const produceKey, toBatch, toProducer = 0, 12, 43
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == produceKey {
		at := bytes.Index(b, []byte(topic)) + len(topic) + toBatch + toProducer
		c.w.mu.Lock()
		c.w.sent = append(c.w.sent, numbered{int64(binary.BigEndian.Uint64(b[at:])), int16(binary.BigEndian.Uint16(b[at+8:])), int32(binary.BigEndian.Uint32(b[at+10:]))})
		c.w.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (w *wire) numbers() []numbered {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]numbered(nil), w.sent...)
}

// TestNumbers: a batch that is sent again has the number that it had; one that the broker refuses as out of order is
// answered as unknown, and what follows begins a new epoch.
func TestNumbers(t *testing.T) {
	t.Parallel()
	answer := func(err sarama.KError) sarama.MockResponse {
		return sarama.NewMockProduceResponse(t).SetVersion(7).SetError(topic, 0, err)
	}
	for _, c := range []struct {
		name    string
		answers []any
		want    []error // of the records, one after the other
		sent    []numbered
		known   bool // the offsets
	}{
		{"sent again", []any{answer(sarama.ErrRequestTimedOut), answer(sarama.ErrNoError)}, []error{nil, nil}, []numbered{{7, 0, 0}, {7, 0, 0}, {7, 0, 1}}, true},
		{"out of order", []any{answer(sarama.ErrOutOfOrderSequenceNumber), answer(sarama.ErrNoError)}, []error{port.ErrUnknown, nil}, []numbered{{7, 0, 0}, {7, 1, 0}}, true},
		{"fenced", []any{answer(sarama.ErrInvalidProducerEpoch), answer(sarama.ErrNoError)}, []error{port.ErrUnknown, nil}, []numbered{{7, 0, 0}, {7, 1, 0}}, true},
		{"forgotten", []any{answer(sarama.ErrUnknownProducerID), answer(sarama.ErrNoError)}, []error{port.ErrUnknown, nil}, []numbered{{7, 0, 0}, {7, 1, 0}}, true},
		{"there already, the broker does not say where", []any{answer(sarama.ErrDuplicateSequenceNumber)}, []error{nil}, []numbered{{7, 0, 0}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := broker(t, map[string]sarama.MockResponse{"ProduceRequest": sarama.NewMockSequence(c.answers...)})
			w := &wire{}
			l, err := New(rt.NewWall(1), Options{Seeds: []string{b.Addr()}, Dial: func(network, address string, timeout time.Duration) (net.Conn, error) {
				conn, err := net.DialTimeout(network, address, timeout)
				return tapped{conn, w}, err
			}})
			if err != nil {
				t.Fatal(err)
			}
			p, err := l.NewProducer(quickProducer())
			if err != nil {
				t.Fatal(err)
			}
			ctx := withinTest(t)
			for i, want := range c.want {
				offset, err := p.Produce(topic, 0, port.Record{Value: []byte("x"), Number: uint64(i + 1)}).Wait(ctx)
				if !errors.Is(err, want) || err == nil && c.known != (offset >= 0) {
					t.Errorf("record %d: offset %d, %v; want %v", i, offset, err, want)
				}
			}
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			sent := w.numbers()
			if len(sent) != len(c.sent) {
				t.Fatalf("sent %v, want %v", sent, c.sent)
			}
			for i := range sent {
				if sent[i] != c.sent[i] {
					t.Errorf("sent %v, want %v", sent, c.sent)
				}
			}
		})
	}
}

// TestProducerIDFromAnyBroker: one seed of two hangs up; the producer gets its ID from the other, whichever it asks first.
func TestProducerIDFromAnyBroker(t *testing.T) {
	t.Parallel()
	b := broker(t, map[string]sarama.MockResponse{"ProduceRequest": sarama.NewMockProduceResponse(t).SetVersion(7)})
	cfg := quickProducer()
	cfg.RetryMax = 50
	for range 4 {
		p, err := testLog(t, "127.0.0.1:1", b.Addr()).NewProducer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx := withinTest(t)
		if _, err := p.Produce(topic, 0, port.Record{Value: []byte("x")}).Wait(ctx); err != nil {
			t.Error(err)
		}
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestNumberHeader(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{0, 1, 1 << 63} {
		var headers []*sarama.RecordHeader
		for _, h := range numberHeader(n) {
			headers = append(headers, &sarama.RecordHeader{Key: []byte("other"), Value: []byte("12345678")}, &h)
		}
		if got := numberOf(headers); got != n {
			t.Errorf("%d came back as %d", n, got)
		}
	}
	if got := numberOf([]*sarama.RecordHeader{{Key: []byte(numberKey), Value: []byte("short")}}); got != 0 {
		t.Errorf("a header that is no number: %d", got)
	}
}
