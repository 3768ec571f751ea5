package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// worst is rows of which each has other values than all before: of any column c… the same number, of all magnitudes and signs, and of
// any column k… the same text. They spread over a time range.
type worst struct {
	rows   int
	over   time.Duration
	narrow bool   // numbers of few magnitudes
	seen   func() // after each block
}

const worstBlock = 8192

func (s *worst) Info() segment.Info {
	return segment.Info{Rows: int64(s.rows), MinTime: began.UnixNano(), MaxTime: began.Add(s.over).UnixNano() - 1}
}

func (s *worst) Scan(_ context.Context, columns []string, visit func(*segment.Block) error) error {
	for at := 0; at < s.rows; at += worstBlock {
		n := min(worstBlock, s.rows-at)
		b := &segment.Block{Rows: n, Offset: make([]int64, n), Index: make([]int32, n), Time: make([]int64, n), SampleRate: make([]int64, n)}
		numbers := segment.Vector{Uniform: event.Float, Floats: make([]float64, n)}
		texts := segment.Vector{Uniform: event.String, Codes: make([]uint32, n)}
		for i := range n {
			row := uint64(at + i)
			b.Time[i] = began.UnixNano() + int64((row*7919)%uint64(s.over/time.Millisecond))*int64(time.Millisecond)
			b.SampleRate[i] = 1 << 40
			numbers.Floats[i] = math.Float64frombits(row * 0x9e3779b97f4a7c15 &^ (1 << 62)) // finite
			if s.narrow {
				numbers.Floats[i] = 1 + float64(row%3000)/100
			}
			texts.Codes[i] = uint32(i)
			texts.Dict = append(texts.Dict, fmt.Sprint("group ", row))
		}
		for _, name := range columns {
			if strings.HasPrefix(name, "k") {
				b.Columns = append(b.Columns, texts)
			} else {
				b.Columns = append(b.Columns, numbers)
			}
		}
		if err := visit(b); err != nil {
			return err
		}
		if s.seen != nil {
			s.seen()
		}
	}
	return nil
}

// times is n calculations of different columns.
func times(n int, op spec.Op) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"op":%q,"column":"c%d"}`, op, i))
	}
	return `"calculations":[` + strings.Join(list, ",") + `]`
}

func worstQuery(t testing.TB, seconds int, granularity string, parts ...string) *spec.Query {
	t.Helper()
	parts = append([]string{fmt.Sprintf(`"start_time":%d,"time_range":%d`, began.Unix(), seconds)}, parts...)
	if granularity != "" {
		parts = append(parts, `"granularity":`+granularity)
	}
	q, err := spec.Parse([]byte("{"+strings.Join(parts, ",")+"}"), began)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestWorstQueries: whatever a permitted query asks for and whatever the events are, a node's states of it take no more than about
// twice what they may count for, and it is answered, or refused with the reason.
func TestWorstQueries(t *testing.T) {
	names := make([]string, spec.MaxBreakdowns)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprint("k", i))
	}
	all := `"breakdowns":[` + strings.Join(names, ",") + `]`
	for _, c := range []struct {
		name    string
		q       *spec.Query
		rows    int
		refused bool
	}{
		{"50 COUNT_DISTINCT, 1000 intervals", worstQuery(t, 1000, "1", times(50, spec.CountDistinct)), 1 << 17, true},
		{"50 P99, 1000 intervals", worstQuery(t, 1000, "1", times(50, "P99")), 1 << 16, true},
		{"50 HEATMAP, 1000 intervals", worstQuery(t, 1000, "1", times(50, spec.Heatmap)), 1 << 16, true},
		{"50 SUM, 1000 intervals", worstQuery(t, 1000, "1", times(50, spec.Sum)), 1 << 15, false},
		{"4 COUNT_DISTINCT, 1000 intervals", worstQuery(t, 1000, "1", times(4, spec.CountDistinct)), 1 << 19, false},
		{"COUNT_DISTINCT by group, 1000 intervals", worstQuery(t, 1000, "1", times(50, spec.CountDistinct), `"breakdowns":["k"]`), 1 << 15, false},
		{"50 P99 by group", worstQuery(t, 10, "", times(50, "P99"), `"breakdowns":["k"]`), 1 << 15, false},
		{"50 AVG by group", worstQuery(t, 10, "", times(50, spec.Avg), `"breakdowns":["k"]`), 1 << 15, false},
		{"100 breakdowns", worstQuery(t, 1000, "1", all), 1 << 15, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, peak, blocks := live(), uint64(0), 0
			a := New(c.q, nil)
			look := func() {
				if blocks++; blocks%max(c.rows/worstBlock/4, 1) == 0 {
					peak = max(peak, live()-before)
				}
			}
			if _, err := a.Add(t.Context(), &worst{rows: c.rows, over: c.q.End.Sub(c.q.Start), seen: look}); err != nil {
				t.Fatal(err)
			}
			p := a.Partial()
			counts := p.Memory()
			b := p.Encode()
			r, err := p.Finish(c.q)
			t.Logf("live at most %d MiB, counts for %d MiB, encoded %d MiB, %d groups, answer %d MiB: %.200v", peak>>20, counts>>20, len(b)>>20, p.Groups(), r.Size()>>20, err)
			if peak > 3*MaxMemory || counts > MaxMemory || len(b) > 60<<20 || r.Size() > MaxAnswer {
				t.Error("that is too much")
			}
			if errors.Is(err, ErrTooLarge) != c.refused || err != nil && !c.refused || p.TooLarge() != c.refused {
				t.Errorf("%v", err)
			}
			if _, err := Decode(b, nil); err != nil {
				t.Errorf("what was encoded cannot be read: %v", err)
			}
			runtime.KeepAlive(p)
		})
	}
}

// TestSmallestFits: a specification alone never implies too much: with a row in each interval, every permitted query is answered. So
// whether one is refused is known from the data alone.
func TestSmallestFits(t *testing.T) {
	t.Parallel()
	for _, op := range []spec.Op{spec.Sum, spec.Min, "P99", spec.CountDistinct} { // each kind of state
		q := worstQuery(t, 1000, "1", times(spec.MaxCalculations, op))
		a := New(q, nil)
		if _, err := a.Add(t.Context(), &worst{rows: 1000, over: 1000 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if r, err := a.Partial().Finish(q); err != nil || r.Truncated {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestLimitWhateverTheOrder: which groups are left out because of their memory, and whether a query is refused, depends on the rows
// alone; and what keeps the limit is what it would be without one.
func TestLimitWhateverTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, rows := drawQuery(t), drawRows(t)
		free := New(q, nil)
		for _, s := range split(t, rows) {
			if _, err := free.Add(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
		whole := free.Partial()
		most := rapid.Int64Range(0, whole.Memory()+100).Draw(t, "limit")
		var first []byte
		for range 3 {
			sum := New(q, nil).Partial()
			sum.table.most = most
			sources := split(t, rows)
			for _, i := range rapid.Permutation(indices(len(sources))).Draw(t, "order") {
				a := New(q, nil)
				a.table.most = most
				if _, err := a.Add(context.Background(), sources[i]); err != nil {
					t.Fatal(err)
				}
				p := a.Partial()
				if rapid.Bool().Draw(t, "sent") {
					var err error
					if p, err = Decode(p.Encode(), nil); err != nil {
						t.Fatal(err)
					}
					p.table.most = most
				}
				if err := sum.Merge(p); err != nil {
					t.Fatal(err)
				}
			}
			got := sum.Encode()
			if first == nil {
				first = got
			}
			if !bytes.Equal(first, got) {
				t.Fatalf("within %d bytes %d groups are kept, or others than before", most, sum.Groups())
			}
			if whole.Memory() <= most && !bytes.Equal(got, whole.Encode()) {
				t.Fatalf("what takes %d bytes is changed by a limit of %d", whole.Memory(), most)
			}
			if sum.Memory() > most {
				t.Fatalf("%d bytes are kept, the limit is %d", sum.Memory(), most)
			}
		}
	})
}

func indices(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// TestRoom: a query without room is told so, and gives everything back.
func TestRoom(t *testing.T) {
	t.Parallel()
	q := worstQuery(t, 1000, "1", times(1, spec.CountDistinct))
	room := NewRoom(1 << 20)
	first, second := room.Share(), room.Share()
	a := New(q, first)
	if _, err := a.Add(t.Context(), &worst{rows: 1000, over: 1000 * time.Second}); err != nil || room.Used() == 0 {
		t.Fatal(err, room.Used())
	}
	used := room.Used()
	b := New(q, second)
	if _, err := b.Add(t.Context(), &worst{rows: 1 << 17, over: 1000 * time.Second}); !errors.Is(err, ErrBusy) || room.Used() <= used {
		t.Errorf("%v, %d used", err, room.Used())
	}
	if b.Discard(); room.Used() != used {
		t.Errorf("%d used, %d before", room.Used(), used)
	}
	other, err := Decode(a.Partial().Encode(), first)
	if err != nil || room.Used() < 2*used-used/8 {
		t.Errorf("%v, %d used for two", err, room.Used())
	}
	sum := New(q, first).Partial()
	if err := sum.Merge(other); err != nil {
		t.Error(err)
	}
	if err := second.Take(1 << 20); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	encoded := sum.Encode()
	first.Close()
	second.Close()
	if _, err := Decode(encoded, first); !errors.Is(err, ErrBusy) || room.Used() != 0 {
		t.Errorf("%v, %d used in the end", err, room.Used())
	}
	if sum.Discard(); room.Used() != 0 {
		t.Error("given back twice")
	}
}

// TestHostilePartial: bytes that were made to become as much memory as can be are given up before they do.
func TestHostilePartial(t *testing.T) {
	q := worstQuery(t, 1000, "1", times(50, "P99"))
	table := New(q, nil).table
	g := table.addGroup("", 0)
	for interval := range 30 {
		c := table.cell(g, interval)
		for _, s := range table.states {
			for i := range 2 * sparseBuckets {
				s.(*spreads).cells[c].add(math.Ldexp(1, 7*i-900), 1)
			}
		}
	}
	b := (&Partial{table}).Encode()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Decode(b, nil); !errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), "bytes of memory") {
		t.Errorf("%v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*MaxMemory {
		t.Errorf("%d bytes took %d MiB", len(b), took>>20)
	}
}

// TestAnswerTooLarge: a table, or the series of a single group, that would be too large is refused; the series of later groups is left
// out, and the result says so.
func TestAnswerTooLarge(t *testing.T) {
	t.Parallel()
	named := func(n int, what string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{%s,"name":"%s%d"}`, what, strings.Repeat("n", 1000), i))
		}
		return `"calculations":[` + strings.Join(list, ",") + `]`
	}
	var names []string
	for i := range spec.MaxBreakdowns {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("k", i, strings.Repeat("b", 1000))))
	}
	breakdowns, heatmaps := `"breakdowns":[`+strings.Join(names, ",")+`]`, named(50, `"op":"HEATMAP","column":"c"`)
	for _, c := range []struct {
		q         *spec.Query
		rows      int
		refused   string
		truncated bool
	}{
		{worstQuery(t, 1000, "1", heatmaps), 1 << 17, "the series of a single group, 50 calculations in 1000 intervals, needs more than 128 MiB", false},
		{worstQuery(t, 1000, "100", heatmaps), 1 << 17, "", false},
		{worstQuery(t, 1000, "100", named(50, `"op":"COUNT"`), breakdowns), 1500, "the table, 50 calculations in 10 intervals by 100 breakdowns, needs more than 128 MiB", false},
		{worstQuery(t, 1000, "100", named(50, `"op":"COUNT"`), breakdowns, `"limit":500`), 1500, "", true},
		{worstQuery(t, 1000, "100", named(50, `"op":"COUNT"`), breakdowns, `"limit":300`), 1500, "", false},
	} {
		a := New(c.q, nil)
		if _, err := a.Add(t.Context(), &worst{rows: c.rows, over: 1000 * time.Second, narrow: true}); err != nil {
			t.Fatal(err)
		}
		r, err := a.Partial().Finish(c.q)
		switch {
		case c.refused != "" && (!errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%v, expected %s", err, c.refused)
		case c.refused != "":
		case err != nil || r.Truncated != c.truncated || r.Size() > MaxAnswer || len(r.Series) == 0 || c.truncated != (len(r.Series) < len(r.Rows)):
			t.Errorf("%v, %d bytes, truncated %v, %d of %d", err, r.Size(), r.Truncated, len(r.Series), len(r.Rows))
		}
	}
}
