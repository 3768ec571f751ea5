package engine_test

import (
	"context"
	"slices"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/retriever"
)

// holding is a world whose retrievers are seen through something.
type holding struct {
	*sim.World
	through func(retriever.Holder) retriever.Holder
}

func (w holding) Holder(node string) retriever.Holder { return w.through(w.World.Holder(node)) }

// decoded hides that a holder can give out records.
type decoded struct{ retriever.Holder }

// tampering changes one field of one event in every record it gives out, and seals the chunk again.
type tampering struct{ retriever.RecordHolder }

func (h tampering) HeldRecords(ctx context.Context, cursor int64, limit int) (retriever.RecordPage, error) {
	page, err := h.RecordHolder.HeldRecords(ctx, cursor, limit)
	for i := range page.Records {
		c, decoding := event.DecodeChunk(page.Records[i].Chunk)
		if decoding != nil {
			return page, decoding
		}
		f := c.Events[0].Fields
		f[len(f)-1].Value = event.StringValue("changed")
		page.Records[i].Chunk = event.AppendChunk(nil, c.Dataset, c.Events)
	}
	return page, err
}

// truncating gives out chunks that are cut off.
type truncating struct{ retriever.RecordHolder }

func (h truncating) HeldRecords(ctx context.Context, cursor int64, limit int) (retriever.RecordPage, error) {
	page, err := h.RecordHolder.HeldRecords(ctx, cursor, limit)
	for i := range page.Records {
		page.Records[i].Chunk = page.Records[i].Chunk[:len(page.Records[i].Chunk)-1]
	}
	return page, err
}

// TestHoldingsAreReadForWhatTheyAre: a record that is recognised as the log's is a saving and nothing else. What differs
// from the log is found, and the two ways of reading holdings agree.
func TestHoldingsAreReadForWhatTheyAre(t *testing.T) {
	t.Parallel()
	p := planOf(t, `s.phase("calm", "3s", faults = [kill(node("retriever1"), at = "1s", for_ = "1s")])`)
	through := func(f func(retriever.Holder) retriever.Holder) *evidence.Evidence {
		ev, err := engine.Run(context.Background(), holding{sim.New(sim.Options{Seed: 5}), f}, p, engine.Options{Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	plain := run(t, p, 5)
	if len(plain.Held) == 0 || len(plain.Gaps) > 0 {
		t.Fatalf("%d events held, gaps %v", len(plain.Held), plain.Gaps)
	}
	if other := through(func(h retriever.Holder) retriever.Holder { return decoded{h} }); !slices.Equal(plain.Held, other.Held) || !slices.Equal(plain.Log, other.Log) {
		t.Error("decoded by the retriever's side, the holdings are others")
	}
	tampered := through(func(h retriever.Holder) retriever.Holder { return tampering{h.(retriever.RecordHolder)} })
	corrupt := 0
	for i, m := range tampered.Held {
		if m.State == evidence.Corrupt {
			corrupt++
		}
		if m.Producer != plain.Held[i].Producer || m.Seq != plain.Held[i].Seq {
			t.Errorf("held %d: %+v, untouched %+v", i, m, plain.Held[i])
		}
	}
	records := slices.CompactFunc(slices.Clone(plain.Held), func(a, b evidence.HeldMark) bool { return a.Partition == b.Partition && a.Offset == b.Offset })
	if corrupt != len(records) {
		t.Errorf("%d of %d changed records were found", corrupt, len(records))
	}
	if cut := through(func(h retriever.Holder) retriever.Holder { return truncating{h.(retriever.RecordHolder)} }); len(cut.Held) > 0 || len(cut.Gaps) == 0 {
		t.Errorf("from chunks that were cut off: %d events, gaps %v", len(cut.Held), cut.Gaps)
	}
}

// misjudging says of every range that it has another sum than it has.
type misjudging struct{ retriever.RecordHolder }

func (h misjudging) Ranges(ctx context.Context) ([]retriever.Range, error) {
	ranges, err := h.RecordHolder.Ranges(ctx)
	for i := range ranges {
		ranges[i].Sum++
	}
	return ranges, err
}

// TestWhatTheStoreHasToo: ranges that the object store holds alike are not read twice, and come to the same marks as if
// they were. With sums that differ, the retriever's own bytes count.
func TestWhatTheStoreHasToo(t *testing.T) {
	t.Parallel()
	p := planOf(t, `s.phase("calm", "24s")`)
	through := func(f func(retriever.Holder) retriever.Holder) *evidence.Evidence {
		ev, err := engine.Run(context.Background(), holding{sim.New(sim.Options{Seed: 6}), f}, p, engine.Options{Seed: 6})
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	plain := run(t, p, 6)
	stored, corrupt := 0, 0
	for _, m := range plain.Held {
		if m.Retriever == evidence.StoreS3 {
			stored++
		}
	}
	if stored == 0 || len(plain.Gaps) > 0 {
		t.Fatalf("%d events in the object store, gaps %v", stored, plain.Gaps)
	}
	if other := through(func(h retriever.Holder) retriever.Holder { return misjudging{h.(retriever.RecordHolder)} }); !slices.Equal(plain.Held, other.Held) || len(other.Gaps) > 0 {
		t.Errorf("read for themselves, the holdings are others: %d, not %d; gaps %v", len(other.Held), len(plain.Held), other.Gaps)
	}
	tampered := through(func(h retriever.Holder) retriever.Holder {
		return misjudging{tampering{h.(retriever.RecordHolder)}}
	})
	for _, m := range tampered.Held {
		if m.State == evidence.Corrupt && m.Retriever != evidence.StoreS3 {
			corrupt++
		}
	}
	if corrupt == 0 {
		t.Error("changed events of ranges that differ from the object store's were not found")
	}
}
