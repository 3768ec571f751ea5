package plan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/telemetry"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// drawPlan is a valid plan of any shape.
func drawPlan(t *rapid.T) *plan.Plan {
	seconds := func(low, high int) *rapid.Generator[plan.Duration] {
		return rapid.Custom(func(t *rapid.T) plan.Duration {
			return plan.Duration(time.Duration(rapid.IntRange(low*1000, high*1000).Draw(t, "ms")) * time.Millisecond)
		})
	}
	pos := rapid.Custom(func(t *rapid.T) plan.Pos {
		return plan.Pos{File: "a.star", Line: rapid.IntRange(1, 99).Draw(t, "line"), Col: rapid.IntRange(1, 99).Draw(t, "col")}
	})
	p := &plan.Plan{
		Version: plan.Version, Scenario: rapid.StringMatching(`[a-z][a-z0-9-]{0,10}`).Draw(t, "scenario"), Doc: rapid.String().Draw(t, "doc"),
		Params: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan.Param {
			return plan.Param{Name: rapid.String().Draw(t, "name"), Default: rapid.String().Draw(t, "default"), Value: rapid.String().Draw(t, "value")}
		}), 1, 3).Draw(t, "params"),
		System: system.Default(), Pos: pos.Draw(t, "pos"),
	}
	if rapid.Bool().Draw(t, "telemetry") {
		p.System.Telemetry = telemetry.DefaultConfig()
	}
	p.System.Kafka.Brokers = rapid.IntRange(3, 7).Draw(t, "brokers")
	p.System.Shepherd.SickFor = time.Duration(seconds(1, 9).Draw(t, "sick for"))
	p.Traffic = []plan.Traffic{{
		Name: "t", Team: system.DefaultTeam, Events: plan.EventsWide, Shape: plan.Steady, EventsPerSecond: rapid.Float64Range(0.1, 1e6).Draw(t, "rate"), EventsPerBatch: rapid.IntRange(1, 100).Draw(t, "batch"),
		EventBytes: 100, Datasets: 3, Clients: 4, Timeout: seconds(1, 20).Draw(t, "timeout"), Pos: pos.Draw(t, "pos"),
	}}
	p.Readers = []plan.Reader{{Name: "r", Traffic: "t", Every: seconds(1, 9).Draw(t, "every"), Shapes: plan.QueryShapes(), Timeout: seconds(1, 20).Draw(t, "timeout")}}
	expectations := []string{"ack.p99 < 150ms", "ack.error_rate <= 0.1%", "ack.rate > 12.5/s after 500ms", "kafka.offline == 0 within 1s", "kafka.brokers >= 3 always", "retriever.lag < 5 for 1s"}
	p.Phases = []plan.Phase{{Name: "before", Length: seconds(1, 100).Draw(t, "length"), Stage: plan.Warmup, Pos: pos.Draw(t, "pos")}}
	for i, name := range []string{"one", "two", "three"}[:rapid.IntRange(1, 3).Draw(t, "phases")] {
		ph := plan.Phase{Name: name, Length: seconds(20, 30).Draw(t, "length"), Stage: plan.During, Pos: pos.Draw(t, "pos")}
		if rapid.Bool().Draw(t, "fault") {
			f := plan.Fault{
				Kind: system.FaultPause, Target: plan.Selector{Kind: plan.SelectAny, Role: system.RoleKafka, N: 1 + i, Pos: pos.Draw(t, "pos")},
				At: seconds(0, 5).Draw(t, "at"), For: seconds(1, 10).Draw(t, "for"), Pos: pos.Draw(t, "pos"),
			}
			if rapid.Bool().Draw(t, "aimed") {
				f.Aim = &plan.Aim{On: "leader.elected", Within: seconds(0, 1).Draw(t, "within"), Skip: rapid.IntRange(0, 5).Draw(t, "skip")}
			}
			if rapid.Bool().Draw(t, "isolate") {
				f.Kind, f.Direction = system.FaultIsolate, system.Inbound
				f.From = []plan.Selector{{Kind: plan.SelectPeers, Role: system.RoleKafka, Pos: pos.Draw(t, "pos")}, {Kind: plan.SelectZK}, {Kind: plan.SelectNode, Node: "shepherd2"}}
			}
			ph.Faults = []plan.Fault{f}
		}
		for _, source := range rapid.SliceOfNDistinct(rapid.SampledFrom(expectations), 0, 3, rapid.ID).Draw(t, "expect") {
			e, err := plan.ParseExpectation(source)
			if err != nil {
				t.Fatal(err)
			}
			e.Pos = pos.Draw(t, "pos")
			ph.Expect = append(ph.Expect, e)
		}
		p.Phases = append(p.Phases, ph)
	}
	p.Checks = []plan.Check{
		{Name: plan.CheckDurability, Pos: pos.Draw(t, "pos")},
		{Name: plan.CheckSLOIngest, Args: plan.CheckArgs{Target: rapid.Float64Range(0.001, 1).Draw(t, "target"), Within: seconds(0, 5).Draw(t, "within")}},
	}
	p.Worlds = p.PossibleWorlds()
	return p
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := plan.Decode("plan.json", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if !reflect.DeepEqual(p, back) {
			t.Fatalf("read back it is another plan:\n%+v\n%+v", p, back)
		}
		if again, err := back.Encode(); err != nil || !bytes.Equal(data, again) {
			t.Fatalf("written again it has other bytes (%v)", err)
		}
		if p.Hash() != back.Hash() {
			t.Fatal("the hash changed")
		}
		compact, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if back, err = plan.Decode("plan.json", compact); err != nil || back.Hash() != p.Hash() {
			t.Fatalf("what json.Marshal writes is another plan: %v", err)
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		before, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		q := p.Clone()
		if !reflect.DeepEqual(p, q) {
			t.Fatal("a clone is not equal")
		}
		q.Params[0].Value, q.Worlds[0], q.Traffic[0].Clients, q.Checks[0].Name = "x", "x", 77, "x"
		for i := range q.Phases {
			ph := &q.Phases[i]
			ph.Name = "x"
			for j := range ph.Faults {
				ph.Faults[j].At = 1
				if ph.Faults[j].Aim != nil {
					ph.Faults[j].Aim.On = "x"
				}
				for k := range ph.Faults[j].From {
					ph.Faults[j].From[k].Node = "x"
				}
			}
			for j := range ph.Expect {
				ph.Expect[j].Source = "x"
			}
		}
		if after, err := p.Encode(); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("changing the clone changed the plan (%v)", err)
		}
	})
}

func TestHashTellsApartWhatRuns(t *testing.T) {
	t.Parallel()
	base := func() *plan.Plan { return rapid.Custom(drawPlan).Example(3) }
	hash := base().Hash()
	if len(hash) != 64 {
		t.Fatalf("the hash is %q", hash)
	}
	for name, edit := range map[string]func(*plan.Plan){
		"position of the scenario": func(p *plan.Plan) { p.Pos.Line += 10 },
		"position of a phase":      func(p *plan.Plan) { p.Phases[0].Pos.Line += 10 },
		"position of a check":      func(p *plan.Plan) { p.Checks[0].Pos.Line += 10 },
		"docstring":                func(p *plan.Plan) { p.Doc += "more" },
		"note":                     func(p *plan.Plan) { p.Notes = []string{"n"} },
	} {
		p := base()
		if edit(p); p.Hash() != hash {
			t.Errorf("another %s is another hash", name)
		}
	}
	for name, edit := range map[string]func(*plan.Plan){
		"length":    func(p *plan.Plan) { p.Phases[0].Length++ },
		"rate":      func(p *plan.Plan) { p.Traffic[0].EventsPerSecond++ },
		"parameter": func(p *plan.Plan) { p.Params[0].Value += "x" },
		"topology":  func(p *plan.Plan) { p.System.Retriever.DedupWindow++ },
		"target":    func(p *plan.Plan) { p.Checks[1].Args.Target /= 2 },
	} {
		p := base()
		if edit(p); p.Hash() == hash {
			t.Errorf("another %s is the same hash", name)
		}
	}
}

// TestDecodeErrors reads every file of testdata/errors, each with one mistake, and compares what is told.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/errors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = plan.Decode(filepath.Base(file), data)
			var told plan.Problems
			if !errors.As(err, &told) || len(told) == 0 {
				t.Fatalf("got %v, want Problems", err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			got := told.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// FuzzDecode looks for panics, and for plans that are accepted and do not survive being written.
func FuzzDecode(f *testing.F) {
	for i := range 5 {
		data, err := rapid.Custom(drawPlan).Example(i).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	files, _ := filepath.Glob("testdata/errors/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := plan.Decode("fuzz.json", data)
		if err != nil {
			var told plan.Problems
			if !errors.As(err, &told) || len(told) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		out, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := plan.Decode("fuzz.json", out)
		if err != nil || back.Hash() != p.Hash() {
			t.Fatalf("written and read it is another plan: %v\n%s", err, out)
		}
	})
}
