package kafka

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestSharedReaders have one client: one connection to the broker, which outlasts each of them, and is opened again once
// when it breaks under all of them.
func TestSharedReaders(t *testing.T) {
	t.Parallel()
	const readers = 5
	resp := &sarama.FetchResponse{Version: 11}
	metadata := sarama.NewMockMetadataResponse(t)
	for p := range int32(readers) {
		resp.AddRecord(topic, p, nil, sarama.StringEncoder(fmt.Sprint("v", p)), 0)
		resp.SetLastOffsetDelta(topic, p, 0)
	}
	b := broker(t, nil)
	metadata.SetController(1).SetBroker(b.Addr(), 1)
	for p := range int32(readers) {
		metadata.SetLeader(topic, p, 1)
	}
	b.SetHandlerByMap(map[string]sarama.MockResponse{"ApiVersionsRequest": versions(t), "MetadataRequest": metadata, "FetchRequest": sarama.NewMockWrapper(resp)})
	open := &openConns{}
	l, err := New(rt.NewWall(1), Options{Seeds: []string{b.Addr()}, Dial: open.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	cfg := port.DefaultReaderConfig("r")
	cfg.Shared, cfg.Backoff = true, time.Millisecond
	ctx := withinTest(t)
	read := func(rs ...port.Reader) {
		t.Helper()
		var wait sync.WaitGroup
		for _, r := range rs {
			wait.Go(func() {
				r := r.(*reader)
				r.offset = 0
				if got, err := r.Fetch(ctx); err != nil || len(got.Records) != 1 || string(got.Records[0].Value) != fmt.Sprint("v", r.part) {
					t.Errorf("partition %d: %+v, %v", r.part, got, err)
				}
			})
		}
		wait.Wait()
	}
	var shared []port.Reader
	for p := range int32(readers) {
		r, err := l.NewReader(cfg, topic, p, 0)
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, r)
	}
	read(shared...)
	before := open.total()
	if before > 2 { // of the seed, for metadata, and of the leader
		t.Errorf("%d readers have %d connections", readers, before)
	}
	shared[0].Close()
	shared[0].Close()
	if _, err := shared[0].Fetch(ctx); !errors.Is(err, errClosed) {
		t.Errorf("a closed reader's Fetch: %v", err)
	}
	read(shared[1:]...)
	if open.total() != before {
		t.Errorf("closing one reader made %d new connections", open.total()-before)
	}
	open.mu.Lock()
	leader := open.last // opened last
	open.mu.Unlock()
	_ = leader.Close()
	read(shared[1:]...)
	if made := open.total() - before; made < 1 || made > 2 {
		t.Errorf("a broken connection made %d new ones", made)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := shared[1].Fetch(ctx); !errors.Is(err, errClosed) {
		t.Errorf("after the log was closed: %v", err)
	}
	if _, err := l.NewReader(cfg, topic, 0, 0); !errors.Is(err, errClosed) {
		t.Errorf("a shared reader of a closed log: %v", err)
	}
	until(t, func() bool { return open.count() == 0 }) // Sarama closes them in the background
}
