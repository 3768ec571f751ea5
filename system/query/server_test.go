package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/querytest"
	"github.com/ratel-sim/ratel/system/rt"
)

func TestCompleteWhateverTheFloors(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		r := rand.New(rand.NewPCG(2, 2))
		for range 40 {
			b.Set(func() {
				for p := range int32(partitions) {
					for _, name := range b.Retrievers(p) {
						b.Nodes[name].Floor = int64(r.IntN(7)) * 30
					}
				}
			})
			a := b.expect(t, ask(byService))
			if a.Stats.Hedged != 0 || a.Stats.Reissued != 0 || a.Stats.RowsScanned != partitions*rowsEach/2 {
				t.Errorf("%+v", a.Stats)
			}
		}
		all := ask(byService)
		all.Dataset = query.AllDatasets
		b.expect(t, all)
		all.DisableSeries = true
		b.expect(t, all)
		for _, n := range b.Nodes {
			if n.Calls < 5 {
				t.Errorf("a retriever was asked only %d times: both of a pair should share the queries", n.Calls)
			}
		}
	})
}

func TestPruning(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		a := b.expect(t, ask(`,"filters":[{"column":"partition","op":"=","value":1}]`))
		if a.Stats.SegmentsSkipped == 0 || a.Stats.RowsScanned != rowsEach/2 {
			t.Errorf("%+v", a.Stats)
		}
	})
}

func TestHedge(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.Set(func() {
			b.Nodes["retriever1"].Err = errors.New("connection refused")
			b.Nodes["retriever4"].Delay = 8 * time.Second
			b.Nodes["retriever5"].Err = &port.PeerError{Node: "retriever5", Text: "not up to date"}
		})
		for range 4 {
			before := time.Now()
			b.expect(t, ask(byService))
			if took := time.Since(before); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		}
		if b.announced(port.EventQueryHedged) == 0 || b.Status().Totals.Hedged == 0 {
			t.Error("no hedge was announced and counted")
		}
	})
}

func TestPairGone(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(n *querytest.Node){
		"refuses": func(n *querytest.Node) { n.Err = port.ErrRefused },
		"hangs":   func(n *querytest.Node) { n.Delay = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
				b.Set(func() { fail(b.Nodes["retriever3"]); fail(b.Nodes["retriever4"]) })
				before := time.Now()
				a := b.partial(t, ask(byService), "no retriever", func(p int32, offset int64, _ *event.Event) bool { return p != 1 || offset < 180 })
				if took := time.Since(before); took > 7*time.Second {
					t.Errorf("took %v", took)
				}
				// The last seal was made after three hours: what came up to ten minutes late may be missing too.
				if m := a.Missing[0]; len(a.Missing) != 1 || m.From != began.Unix()+2*3600 || m.To != began.Unix()+4*3600 {
					t.Errorf("%+v", a.Missing)
				}
				if b.announced(port.EventQueryPartial) != 1 {
					t.Error("it was not announced")
				}
			})
		})
	}
}

func TestObjectStore(t *testing.T) {
	t.Parallel()
	young := func(p int32, offset int64, _ *event.Event) bool {
		return offset >= []int64{60, 180, 90}[p]
	}
	one := func(b *bench) { // one of each pair, so that the floors are known
		b.Set(func() {
			for _, name := range []string{"retriever2", "retriever4", "retriever6"} {
				b.Nodes[name].Err = port.ErrRefused
			}
		})
	}
	t.Run("recovers", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			b.Set(func() { b.GetFails = 20 })
			b.expect(t, ask(byService))
		})
	})
	t.Run("away", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			one(b)
			b.Set(func() { b.GetErr = fmt.Errorf("503: %w", port.ErrSlowDown) })
			before := time.Now()
			b.partial(t, ask(byService), "manifest", young)
			if took := time.Since(before); took > 10*time.Second+time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	})
	t.Run("away after the manifests were read", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			one(b)
			b.expect(t, ask(byService))
			b.Set(func() { b.GetErr = fmt.Errorf("503: %w", port.ErrSlowDown) })
			b.partial(t, ask(byService), "segment", young)
			b.Set(func() { b.GetErr = nil })
			b.expect(t, ask(byService))
		})
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			one(b)
			b.expect(t, ask(byService))
			b.Set(func() { b.GetDelay = time.Hour })
			b.partial(t, ask(byService), "in time", young)
		})
	})
	t.Run("damaged segment", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			one(b)
			key := b.Manifest(2).Seals[1].Segments[0].Key
			data := append([]byte(nil), b.Object(key)...)
			data[len(data)/2] ^= 4
			b.Put(key, data)
			if b.Manifest(2).Seals[1].Segments[0].Dataset != 1 {
				t.Fatal("not the dataset that is asked for")
			}
			before := time.Now()
			a := b.partial(t, ask(byService), key, func(p int32, offset int64, _ *event.Event) bool { return p != 2 || offset < 30 || offset >= 60 })
			if took := time.Since(before); took > 3*time.Second {
				t.Errorf("took %v: what is damaged stays so", took)
			}
			if m := a.Missing[0]; m.Partition != 2 || m.From != began.Unix() || m.To != began.Unix()+3600 {
				t.Errorf("%+v", a.Missing)
			}
			b.Put(key, nil)
			b.partial(t, ask(byService), key, func(p int32, offset int64, _ *event.Event) bool { return p != 2 || offset < 30 || offset >= 60 })
		})
	})
	t.Run("damaged manifest", func(t *testing.T) {
		t.Parallel()
		inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
			one(b)
			good := b.Object(manifest.Key(0))
			data := append([]byte(nil), good...)
			data[len(data)-1] ^= 1
			b.Put(manifest.Key(0), data)
			b.partial(t, ask(byService), "manifest", func(p int32, offset int64, _ *event.Event) bool { return p != 0 || offset >= 60 })
		})
	})
}

// TestExpired: a segment that retention took away after the manifest was read is not missing.
func TestExpired(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.expect(t, ask(byService))
		for p := range int32(partitions) {
			m := b.Manifest(p)
			for _, s := range m.Seals[0].Segments {
				b.Put(s.Key, nil)
			}
			m.Seals = m.Seals[1:]
			m.Generation++
			b.Put(manifest.Key(p), m.Encode())
			b.Set(func() {
				for _, name := range b.Retrievers(p) {
					b.Nodes[name].Floor = 60
				}
			})
		}
		a, err := b.Query(context.Background(), ask(byService))
		if err != nil || !a.Complete {
			t.Fatalf("%v: %+v", err, a)
		}
		if want := b.truth(t, ask(byService), func(_ int32, offset int64, _ *event.Event) bool { return offset >= 30 }); !reflect.DeepEqual(a.Result, want) {
			t.Errorf("got  %+v\nwant %+v", a.Result.Rows, want.Rows)
		}
	})
}

// TestManifestsAreReadAgain: a cached manifest is not used for a retriever whose floor it does not reach.
func TestManifestsAreReadAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		for range 2 {
			b.expect(t, ask(byService))
		}
		read := 0
		b.Set(func() {
			for p := range int32(partitions) {
				read += b.Gets[manifest.Key(p)]
			}
		})
		if read > partitions {
			t.Errorf("the manifests were read %d times for two queries", read)
		}
		for p := range int32(partitions) {
			if err := b.Seal(p, 210, began.Add(210*time.Minute)); err != nil {
				t.Fatal(err)
			}
			b.Set(func() {
				for _, name := range b.Retrievers(p) {
					b.Nodes[name].Floor = 210
				}
			})
		}
		b.expect(t, ask(byService))
	})
}

func TestDamagedOnRetrievers(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		key := b.Manifest(0).Seals[5].Segments[0].Key
		b.Set(func() {
			b.Nodes["retriever1"].Floor, b.Nodes["retriever2"].Floor = 60, 60
			b.Nodes["retriever1"].Damaged = []string{key}
		})
		for range 4 { // the other of the pair has it
			b.expect(t, ask(byService))
		}
		b.Set(func() { b.Nodes["retriever2"].Damaged = []string{key} })
		for range 4 { // the object store has it
			b.expect(t, ask(byService))
		}
	})
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.Set(func() {
			for _, name := range b.Retrievers(0) {
				b.Nodes[name].Damaged = []string{"segments/0/180-200/1-2-3.parquet"}
			}
		})
		a, err := b.Query(context.Background(), ask(byService))
		if err != nil || a.Complete || !strings.Contains(fmt.Sprint(a.Missing), "180-200") {
			t.Errorf("%v: %+v", err, a.Missing)
		}
	})
}

func TestSlowReadsAreIssuedAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		key := b.Manifest(0).Seals[0].Segments[0].Key
		b.Set(func() {
			b.Nodes["retriever1"].Floor, b.Nodes["retriever2"].Floor = 180, 180
			b.Slow[key] = 8 * time.Second
		})
		before := time.Now()
		a := b.expect(t, ask(byService))
		if took := time.Since(before); a.Stats.Reissued != 1 || took > 3*time.Second {
			t.Errorf("%d reads were issued again, the answer took %v", a.Stats.Reissued, took)
		}
		time.Sleep(20 * time.Second) // the first read comes back late, and changes nothing
		b.expect(t, ask(byService))
		// Both reads end while the query still waits for another partition: the segment counts once.
		b.Set(func() {
			b.Slow[key], b.Gets[key] = 1500*time.Millisecond, 0
			b.Nodes["retriever5"].Delay, b.Nodes["retriever6"].Delay = 3*time.Second, 3*time.Second
		})
		if a := b.expect(t, ask(byService)); a.Stats.Reissued != 1 {
			t.Errorf("%d reads were issued again", a.Stats.Reissued)
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, func(c *query.Config) { c.Workers = 3; c.KeepWarm = time.Second }, func(t *testing.T, b *bench) {
		b.expect(t, ask(byService)) // so that the manifests are known
		b.Set(func() { b.GetDelay, b.MostRead = 10*time.Millisecond, 0 })
		time.Sleep(2 * time.Second)
		queue := rt.NewQueue[query.Answer](b.wall, 0)
		for range 5 {
			b.wall.Go("query", func(ctx context.Context) {
				a, _ := b.Query(ctx, ask(byService))
				queue.TryPush(a)
			})
		}
		cold := int64(0)
		for range 5 {
			a, err := queue.Pop(context.Background())
			if err != nil || !a.Complete {
				t.Fatalf("%v %+v", err, a)
			}
			cold += a.Stats.ColdStarts
		}
		if b.MostRead != 3 || cold != 3 {
			t.Errorf("%d reads at once, %d cold starts; expected 3 of each", b.MostRead, cold)
		}
	})
}

func TestOldDataDropped(t *testing.T) {
	t.Parallel()
	bugs, err := planted.Parse(planted.OldDataDropped)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, bugs, nil, func(t *testing.T, b *bench) {
		b.Set(func() {
			for _, n := range b.Nodes {
				n.Floor = 120
			}
		})
		a, err := b.Query(context.Background(), ask(byService))
		want := b.truth(t, ask(byService), func(_ int32, offset int64, _ *event.Event) bool { return offset >= 120 })
		if err != nil || !a.Complete || !reflect.DeepEqual(a.Result, want) {
			t.Errorf("%v: the planted bug is not as described: %+v", err, a)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		for _, c := range []struct {
			change func(r *query.Request)
			code   int
			text   string
		}{
			{func(r *query.Request) { r.Team = "" }, 401, "X-Honeycomb-Team"},
			{func(r *query.Request) { r.Team = "other" }, 401, "unknown API key"},
			{func(r *query.Request) { r.Dataset = "third" }, 404, "third"},
			{func(r *query.Request) { r.Spec = json.RawMessage(`{`) }, 400, "JSON"},
			{func(r *query.Request) { r.Spec = json.RawMessage(`{"limit":0}`) }, 422, "limit"},
			{func(r *query.Request) { r.Limit = 1001 }, 422, "10000 with disable_series"},
			{func(r *query.Request) { r.Limit, r.DisableSeries = 10001, true }, 422, "1 to 10000"},
		} {
			req := ask("")
			c.change(&req)
			if a, err := b.Query(context.Background(), req); err != nil || a.Code != c.code || !strings.Contains(a.Error, c.text) {
				t.Errorf("%v: %d %q, expected %d about %q", err, a.Code, a.Error, c.code, c.text)
			}
		}
		b.Catalog.SetAway(true)
		time.Sleep(time.Hour)
		if a, err := b.Query(context.Background(), ask("")); err != nil || a.Code != 503 {
			t.Errorf("%v: %+v", err, a)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	wall := rt.NewWall(1)
	f := querytest.NewFleet(wall, 1)
	for name, change := range map[string]func(c *query.Config){
		"deadline": func(c *query.Config) { c.Deadline = 0 }, "hedge_after": func(c *query.Config) { c.HedgeAfter = -1 }, "workers": func(c *query.Config) { c.Workers = 0 },
		"max_stored": func(c *query.Config) { c.MaxStored = 0 }, "reissue": func(c *query.Config) { c.Reissue = 2 },
	} {
		cfg := query.DefaultConfig()
		change(&cfg)
		if _, err := query.New(wall, f.Ports(), cfg, query.Layout{Partitions: 1, Retrievers: f.Retrievers}, "query1", planted.Set{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
