package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/s3"
)

func TestBlobsOnTheModel(t *testing.T) {
	t.Parallel()
	for _, row := range Blobs() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				if err := blobsOnModel(seed, row); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// blobsOnModel runs one row on a fresh store.
func blobsOnModel(seed uint64, row BlobsRow) error {
	m := newStorageModel(seed)
	defer m.s.Close()
	srv := s3.New(m.s, m.n, s3.Config{})
	srv.Start()
	e := &BlobsEnv{Runtime: m.p[0], A: srv.Client(m.nodes[0], m.p[0]), B: srv.Client(m.nodes[1], m.p[0]), Prefix: "row/"}
	answers := func(ctx context.Context) error { _, _, err := e.B.List(ctx, e.Prefix, "", 1); return err }
	do := func(f func()) func(context.Context) error {
		return func(context.Context) error { f(); return nil }
	}
	e.Kill, e.Pause, e.Resume = do(srv.Kill), do(srv.Pause), do(srv.Resume)
	e.Errors = func(_ context.Context, rate float64) error { srv.SetErrors(rate); return nil }
	e.Slow = func(_ context.Context, delay time.Duration) error { srv.SetSlow(delay); return nil }
	e.Restart = func(ctx context.Context) error {
		srv.Start()
		return m.await(ctx, answers)
	}
	return m.run(answers, func(ctx context.Context) error { return row.Check(ctx, e) })
}
