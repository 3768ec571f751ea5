package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

func TestSumIsExact(t *testing.T) {
	t.Parallel()
	number := rapid.OneOf(
		rapid.Map(rapid.Uint64(), math.Float64frombits).Filter(finite), rapid.Float64Range(-1e3, 1e3),
		rapid.SampledFrom([]float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e16, -1e16, 1}),
	)
	rapid.Check(t, func(t *rapid.T) {
		want := new(big.Rat)
		var parts [3]total
		for range rapid.IntRange(0, 50).Draw(t, "n") {
			p := &parts[rapid.IntRange(0, 2).Draw(t, "part")]
			w := rapid.OneOf(rapid.Just(uint64(1)), rapid.Uint64Range(1, event.MaxWeight)).Draw(t, "weight")
			x := new(big.Rat).SetInt(new(big.Int).SetUint64(w))
			if rapid.IntRange(0, 4).Draw(t, "many") == 0 {
				list := rapid.SliceOfN(number, 0, 5).Draw(t, "floats")
				block := append(list, math.NaN(), math.Inf(1))
				f, _ := frameOf(block, nil, uint64(len(block)))
				sums := f.all(block, p)
				sums.flush(p)
				for _, f := range list {
					want.Add(want, new(big.Rat).SetFloat64(f))
				}
				continue
			}
			if rapid.Bool().Draw(t, "whole") {
				i := rapid.Int64().Draw(t, "int")
				p.addInt(i, w)
				x.Mul(x, new(big.Rat).SetInt64(i))
			} else {
				f := number.Draw(t, "float")
				p.addFloat(f, w)
				x.Mul(x, new(big.Rat).SetFloat64(f))
			}
			want.Add(want, x)
			if rapid.IntRange(0, 9).Draw(t, "carry") == 0 {
				p.exact.carry()
			}
		}
		parts[0].merge(&parts[1])
		parts[2].merge(&parts[0])
		expected, _ := want.Float64()
		if got := round(parts[2].units()); got != expected {
			t.Fatalf("%v, expected %v", got, expected)
		}
	})
}

func TestQuantilesAreNear(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		scale := rapid.Float64Range(0.1, 30).Draw(t, "scale")
		list := make([]float64, rapid.IntRange(33, 400).Draw(t, "n"))
		var s, half spread
		for i := range list {
			list[i] = math.Exp(r.NormFloat64() * scale)
			switch r.IntN(4) {
			case 0:
				list[i] = -list[i]
			case 1:
				list[i] = float64(r.IntN(5) - 2)
			}
			if i%2 == 0 {
				s.add(list[i], 1)
			} else {
				half.add(list[i], 1)
			}
		}
		s.merge(&half)
		slices.Sort(list)
		for _, op := range spec.Ops() {
			perMille, ok := op.Quantile()
			if !ok {
				continue
			}
			want := list[max((len(list)*perMille+999)/1000, 1)-1]
			if got := s.quantile(perMille); math.Abs(got-want) > math.Abs(want)/128 {
				t.Fatalf("%s is %v, expected %v within 1/128", op, got, want)
			}
		}
		counted := 0.0
		last := math.Inf(-1)
		for _, b := range s.heatmap() {
			if b.From < last || b.To <= b.From {
				t.Fatalf("buckets overlap: %+v", s.heatmap())
			}
			last = b.To
			n := 0.0
			for _, v := range list {
				if v >= 0 && v >= b.From && v < b.To || v < 0 && v > b.From && v <= b.To {
					n++
				}
			}
			if n != b.Count {
				t.Fatalf("bucket %+v, expected %v", b, n)
			}
			counted += n
		}
		if counted != float64(len(list)) {
			t.Fatalf("%v of %d values are in buckets", counted, len(list))
		}
	})
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, ExactDistinct, ExactDistinct + 1, 5000, 30_000, 300_000} {
		var parts [2]distinct
		for i := range n {
			for range 1 + i%2 {
				parts[i%2].add(max(hashText(fmt.Sprint("user-", i)), 1))
			}
			if i%3 == 0 {
				parts[1].add(max(hashText(fmt.Sprint("user-", i)), 1))
			}
		}
		parts[0].merge(&parts[1])
		got := float64(parts[0].count())
		if n <= ExactDistinct && got != float64(n) {
			t.Errorf("%v of %d", got, n)
		}
		if math.Abs(got-float64(n)) > 4*0.0115*float64(n) {
			t.Errorf("%v of %d is more than four standard errors off", got, n)
		}
	}
}

// manyGroups is rows with n different values of a column.
func manyGroups(n int) []*rowSource {
	rows := make([]event.Event, n)
	for i := range rows {
		rows[i] = event.Event{Time: began.Add(time.Duration(i%600) * time.Second), SampleRate: 1, Fields: []event.Field{{Name: "k", Value: event.IntValue(int64(i))}}}
	}
	return []*rowSource{{rows: rows[:n/3], block: 5000}, {rows: rows[n/3:], block: 3000}, {rows: rows[:n/2], block: 7000}}
}

// TestTooManyGroups: what is kept is right and the same however it is merged, and the result says that groups are missing.
func TestTooManyGroups(t *testing.T) {
	t.Parallel()
	q, err := spec.Parse([]byte(fmt.Sprintf(`{"start_time":%d,"time_range":600,"granularity":1,"breakdowns":["k"]}`, began.Unix())), began)
	if err != nil {
		t.Fatal(err)
	}
	var encoded [][]byte
	sources := manyGroups(12_000)
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		p := New(q, nil).Partial()
		for _, i := range order {
			a := New(q, nil)
			if _, err := a.Add(context.Background(), sources[i]); err != nil {
				t.Fatal(err)
			}
			decoded, err := Decode(a.Partial().Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Merge(decoded); err != nil {
				t.Fatal(err)
			}
		}
		r := finished(p, q)
		if !r.Truncated || p.Groups() != p.table.limit() || len(r.Rows) != 1000 {
			t.Fatalf("truncated %v, %d groups of %d, %d rows", r.Truncated, p.Groups(), p.table.limit(), len(r.Rows))
		}
		for _, row := range r.Rows {
			want := int64(1)
			if row.Group[0].Int() < 6000 {
				want = 2
			}
			if row.Values[0].Value.Int() != want {
				t.Fatalf("group %v has %v", row.Group, row.Values[0].Value)
			}
		}
		encoded = append(encoded, p.Encode())
	}
	if !bytes.Equal(encoded[0], encoded[1]) || !bytes.Equal(encoded[0], encoded[2]) {
		t.Error("the order of merging changed which groups are kept")
	}
}

// TestTooManyGroupsOfOneDictionary: what was found for a dictionary's codes does not outlive the groups, which are left out and
// renumbered in the middle of a scan.
func TestTooManyGroupsOfOneDictionary(t *testing.T) {
	t.Parallel()
	q, err := spec.Parse([]byte(fmt.Sprintf(`{"start_time":%d,"time_range":600,"granularity":1,"breakdowns":["a"]}`, began.Unix())), began)
	if err != nil {
		t.Fatal(err)
	}
	const keys, times = 8000, 3
	for _, spread := range []time.Duration{0, 7 * time.Millisecond} { // in one interval, where cells are remembered, and in several
		s := &rowSource{block: 1000}
		for i := range keys * times {
			s.rows = append(s.rows, event.Event{Time: began.Add(time.Duration(i) * spread), SampleRate: 1,
				Fields: []event.Field{{Name: "a", Value: event.StringValue(fmt.Sprint("key ", i%keys))}}})
		}
		s.dicts = dictionaries(s.rows)
		a := New(q, nil)
		if _, err := a.Add(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r := finished(a.Partial(), q)
		if !r.Truncated || len(r.Rows) != 1000 {
			t.Fatalf("truncated %v, %d rows", r.Truncated, len(r.Rows))
		}
		for _, row := range r.Rows {
			if row.Values[0].Value.Int() != times {
				t.Fatalf("group %v has %v, not %d", row.Group, row.Values[0].Value, times)
			}
		}
	}
}

func TestMergeRefusesOthers(t *testing.T) {
	t.Parallel()
	a, _ := spec.Parse([]byte(`{"end_time":1800000000}`), began)
	b, _ := spec.Parse([]byte(`{"end_time":1800000000,"filters":[{"column":"a","op":"exists"}]}`), began)
	if err := New(a, nil).Partial().Merge(New(b, nil).Partial()); !errors.Is(err, ErrShape) {
		t.Errorf("%v", err)
	}
	limited := *a
	limited.Limit = 5
	if err := New(a, nil).Partial().Merge(New(&limited, nil).Partial()); err != nil {
		t.Errorf("the limit matters: %v", err)
	}
}

// TestSkips: a source is never skipped though its rows matter (the model test covers that too), and is skipped where its
// statistics say so.
func TestSkips(t *testing.T) {
	t.Parallel()
	info := segment.Info{Rows: 10, MinTime: 100e9, MaxTime: 200e9, Columns: []segment.ColumnStats{
		{Name: "d", Kinds: 1 << event.Float, Min: 1, Max: 5}, {Name: "s", Kinds: 1 << event.String, Nulls: 3, MinText: "b", MaxText: "d"},
	}}
	for _, c := range []struct {
		query string
		skip  bool
	}{
		{`{"start_time":1,"end_time":100}`, true}, {`{"start_time":1,"end_time":101}`, false},
		{`{"start_time":201,"end_time":300}`, true}, {`{"start_time":200,"end_time":300}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"x","op":"exists"}]}`, true},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"x","op":"!=","value":1}]}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"d","op":"does-not-exist"}]}`, true},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"s","op":"does-not-exist"}]}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"d","op":">","value":6}]}`, true},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"d","op":"in","value":[0,4.5]}]}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"d","op":"=","value":"a"}]}`, true},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"s","op":"starts-with","value":"a"}]}`, true},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"s","op":"starts-with","value":"cc"}]}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"s","op":"<","value":"a"},{"column":"d","op":">=","value":5}],"filter_combination":"OR"}`, false},
		{`{"start_time":0,"end_time":300,"filters":[{"column":"s","op":"<","value":"a"},{"column":"d","op":">=","value":6}],"filter_combination":"OR"}`, true},
	} {
		q, err := spec.Parse([]byte(c.query), began)
		if err != nil {
			t.Fatal(err)
		}
		if Skips(q, &info) != c.skip {
			t.Errorf("%s: expected %v", c.query, c.skip)
		}
	}
}

// mostPerByte is how much a byte of a partial result may count for: a group of a few bytes has places in a thousand intervals.
const mostPerByte = 4096

func FuzzDecodePartial(f *testing.F) {
	q, err := spec.Parse([]byte(fmt.Sprintf(`{"start_time":%d,"time_range":60,"breakdowns":["k"],"calculations":[{"op":"COUNT"},{"op":"SUM","column":"d"},{"op":"P95","column":"d"},{"op":"COUNT_DISTINCT","column":"d"},{"op":"MAX","column":"d"},{"op":"MIN","column":"d"}]}`, began.Unix())), began)
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 3, 100} {
		var rows []event.Event
		for i := range n {
			rows = append(rows, event.Event{Time: began.Add(time.Duration(i%60) * time.Second), SampleRate: int64(1 + i%3), Fields: []event.Field{{Name: "d", Value: event.FloatValue(float64(i) * 1.5)}, {Name: "k", Value: event.StringValue(fmt.Sprint(i % 2))}}})
		}
		a := New(q, nil)
		if _, err := a.Add(context.Background(), &rowSource{rows: rows, block: 10}); err != nil {
			f.Fatal(err)
		}
		f.Add(a.Partial().Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data, nil)
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatal(err)
			}
			return
		}
		if most := int64(mostPerByte * len(data)); p.Memory() > most || p.Memory() > MaxMemory+slack(MaxMemory) {
			t.Fatalf("%d bytes became %d", len(data), p.Memory())
		}
		// Whatever is accepted can be used.
		again, err := Decode(p.Encode(), nil)
		if err != nil {
			t.Fatalf("what was decoded cannot be decoded again: %v", err)
		}
		if !bytes.Equal(again.Encode(), p.Encode()) {
			t.Fatal("encoding is not stable")
		}
		own := New(q, nil).Partial()
		if own.Merge(p) == nil {
			if _, err := own.Finish(q); err != nil && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
		}
	})
}
