//go:build containers

package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// TestMain also serves as the reaper that a world starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "reaper" {
		if err := containers.RunReaper(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestContainersLogOverAFailover: on real Kafka, everything that the durable producer was told is accepted is read back
// at its offset, across the kill of a leader; and the errors of a reader and of the admin are the port's.
func TestContainersLogOverAFailover(t *testing.T) {
	w, err := containers.New(containers.Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output(), LogDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	top := system.Default()
	top.Shepherds, top.Kafka.Partitions = 1, 1
	err = w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		l := w.Log()
		spec := port.TopicSpec{Name: "failover", Partitions: 1, Replication: 3, MinISR: 2}
		for range 2 { // the second time it is there already
			if err := l.Admin().CreateTopic(ctx, spec); err != nil {
				return err
			}
		}
		spec.Partitions = 2
		if err := l.Admin().CreateTopic(ctx, spec); !errors.Is(err, port.ErrExists) {
			t.Errorf("created again in another shape: %v", err)
		}
		return failover(ctx, t, w, l)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func failover(ctx context.Context, t *testing.T, w *containers.World, l port.Log) error {
	const topic, n = "failover", 3000
	before, err := l.Admin().Describe(ctx, topic)
	if err != nil {
		return err
	}
	old := before[0].Leader
	p, err := l.NewProducer(port.DefaultProducerConfig("test"))
	if err != nil {
		return err
	}
	futs := make([]*rt.Future[int64], 0, n)
	fault := system.Fault{Kind: system.FaultKill, Node: system.NodeName(system.RoleKafka, int(old))}
	for i := range n {
		futs = append(futs, p.Produce(topic, 0, port.Record{Value: fmt.Append(nil, "v", i), Time: time.UnixMilli(int64(i))}))
		if i == n/3 {
			if err := w.Inject(ctx, fault); err != nil {
				return err
			}
		}
		if err := w.Runtime().Sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	at := map[int64]int{}
	for i, f := range futs {
		offset, err := f.Wait(ctx)
		if err != nil {
			t.Errorf("record %d: %v", i, err)
			continue
		}
		at[offset] = i
	}
	after, err := l.Admin().Describe(ctx, topic)
	if err != nil || after[0].Leader == old || after[0].LeaderEpoch <= before[0].LeaderEpoch {
		t.Errorf("after the kill of broker %d: %+v, %v", old, after, err)
	}
	start, end, err := l.Admin().Offsets(ctx, topic, 0)
	if err != nil || start != 0 || end < n {
		t.Errorf("offsets %d to %d, %v", start, end, err)
	}
	r, err := l.NewReader(port.DefaultReaderConfig("test"), topic, 0, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Offset() < end {
		batch, err := r.Fetch(ctx)
		if err != nil {
			return err
		}
		for _, rec := range batch.Records {
			if i, ok := at[rec.Offset]; ok && (string(rec.Value) != fmt.Sprint("v", i) || !rec.Time.Equal(time.UnixMilli(int64(i)))) {
				t.Errorf("offset %d holds %q of %v, expected record %d", rec.Offset, rec.Value, rec.Time, i)
			}
			delete(at, rec.Offset)
		}
	}
	if len(at) > 0 {
		t.Errorf("%d of %d accepted records were not read back", len(at), n)
	}
	t.Logf("%d records accepted over the kill of %s; the log ends at %d", n, fault.Node, end)
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	return badReads(ctx, t, l, end)
}

func badReads(ctx context.Context, t *testing.T, l port.Log, end int64) error {
	for _, c := range []struct {
		topic  string
		offset int64
		want   error
	}{{"failover", end + 100, port.ErrOffsetOutOfRange}, {"nothing", 0, port.ErrNoTopic}} {
		r, err := l.NewReader(port.DefaultReaderConfig("test"), c.topic, 0, c.offset)
		if err != nil {
			return err
		}
		if _, err := r.Fetch(ctx); !errors.Is(err, c.want) {
			t.Errorf("%s at %d: %v, expected %v", c.topic, c.offset, err, c.want)
		}
		r.Close()
	}
	if _, err := l.Admin().Describe(ctx, "nothing"); !errors.Is(err, port.ErrNoTopic) {
		t.Errorf("describe: %v", err)
	}
	return nil
}
