package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	resp := &sarama.FetchResponse{Version: 11}
	for i := range int64(5) { // a batch comes whole: the first two are below what is asked for
		resp.AddRecord(topic, 0, nil, sarama.StringEncoder(fmt.Sprint("v", 3+i)), 3+i)
	}
	resp.SetLastOffsetDelta(topic, 0, 8) // offset 8 has been compacted away
	resp.GetBlock(topic, 0).HighWaterMarkOffset = 9
	b := broker(t, map[string]sarama.MockResponse{"FetchRequest": sarama.NewMockWrapper(resp)})
	l := testLog(t, b.Addr())
	r, err := l.NewReader(port.DefaultReaderConfig("r"), topic, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := withinTest(t)
	got, err := r.Fetch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.HighWatermark != 9 || len(got.Records) != 3 || r.Offset() != 9 {
		t.Errorf("high watermark %d, %d records, next offset %d", got.HighWatermark, len(got.Records), r.Offset())
	}
	for i, rec := range got.Records {
		if rec.Offset != 5+int64(i) || string(rec.Value) != fmt.Sprint("v", rec.Offset) {
			t.Errorf("record %d: offset %d, %q", i, rec.Offset, rec.Value)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	failing := func(k sarama.KError) sarama.MockResponse {
		resp := &sarama.FetchResponse{Version: 11}
		resp.AddError(topic, 0, k)
		return sarama.NewMockWrapper(resp)
	}
	t.Run("out of range is returned", func(t *testing.T) {
		t.Parallel()
		b := broker(t, map[string]sarama.MockResponse{"FetchRequest": failing(sarama.ErrOffsetOutOfRange)})
		r, err := testLog(t, b.Addr()).NewReader(port.DefaultReaderConfig("r"), topic, 0, 99)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Fetch(withinTest(t)); !errors.Is(err, port.ErrOffsetOutOfRange) {
			t.Errorf("%v, want out of range", err)
		}
	})
	t.Run("a deposed leader is retried until the context ends", func(t *testing.T) {
		t.Parallel()
		b := broker(t, map[string]sarama.MockResponse{"FetchRequest": failing(sarama.ErrNotLeaderForPartition)})
		cfg := port.DefaultReaderConfig("r")
		cfg.Backoff = time.Millisecond
		r, err := testLog(t, b.Addr()).NewReader(cfg, topic, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range 2000 { // until it has been seen to come back for more
				n := 0
				for _, h := range b.History() {
					if _, ok := h.Request.(*sarama.FetchRequest); ok {
						n++
					}
				}
				if n > 1 {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			cancel()
		}()
		if _, err := r.Fetch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
	})
	t.Run("no such topic", func(t *testing.T) {
		t.Parallel()
		b := broker(t, nil)
		b.SetHandlerByMap(map[string]sarama.MockResponse{
			"ApiVersionsRequest": versions(t),
			"MetadataRequest":    sarama.NewMockMetadataResponse(t).SetController(1).SetBroker(b.Addr(), 1).SetError(topic, sarama.ErrUnknownTopicOrPartition),
		})
		cfg := port.DefaultReaderConfig("r")
		cfg.Backoff = time.Millisecond
		r, err := testLog(t, b.Addr()).NewReader(cfg, topic, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Fetch(withinTest(t)); !errors.Is(err, port.ErrNoTopic) {
			t.Errorf("%v, want no such topic", err)
		}
	})
}

// TestDeposedLeaderIsNotBelieved: the reader first meets a leader that was cut off and deposed, which names itself and
// calls the offset out of range; another broker knows better.
func TestDeposedLeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	old, now := sarama.NewMockBroker(quiet{t}, 1), sarama.NewMockBroker(quiet{t}, 2)
	t.Cleanup(old.Close)
	t.Cleanup(now.Close)
	view := func(leader, epoch int32) *sarama.MetadataResponse {
		m := &sarama.MetadataResponse{Version: 7, ControllerID: 2}
		m.AddBroker(old.Addr(), 1)
		m.AddBroker(now.Addr(), 2)
		m.AddTopicPartition(topic, 0, leader, []int32{1, 2}, []int32{leader}, nil, sarama.ErrNoError)
		m.Topics[0].Partitions[0].LeaderEpoch = epoch
		return m
	}
	outOfRange, good := &sarama.FetchResponse{Version: 11}, &sarama.FetchResponse{Version: 11}
	outOfRange.AddError(topic, 0, sarama.ErrOffsetOutOfRange)
	good.AddRecord(topic, 0, nil, sarama.StringEncoder("v7"), 7)
	good.SetLastOffsetDelta(topic, 0, 7)
	old.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": versions(t), "FetchRequest": sarama.NewMockWrapper(outOfRange), "MetadataRequest": sarama.NewMockWrapper(view(1, 4)),
	})
	now.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": versions(t), "FetchRequest": sarama.NewMockWrapper(good), "MetadataRequest": sarama.NewMockWrapper(view(2, 5)),
	})
	cfg := port.DefaultReaderConfig("r")
	cfg.Backoff = time.Millisecond
	r, err := testLog(t, old.Addr(), now.Addr()).NewReader(cfg, topic, 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Fetch(withinTest(t))
	if err != nil || len(got.Records) != 1 || string(got.Records[0].Value) != "v7" {
		t.Errorf("%+v, %v", got, err)
	}
}
