package lang_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"pgregory.net/rapid"
)

const whole = `"""Doc of the file.

Parameters:
  outage: how long
    it lasts
  rate: events per second
"""

def scenario(s, outage = "10s", rate = 100, share = 0.5, clean = True):
    s.traffic("t", events_per_second = rate)
    s.phase("a", "5s")
    s.phase("b", outage, faults = [stop(node("kafka1")) if clean else kill(node("kafka1"))])
    s.phase("c", "5s", expect = ["ack.error_rate < %s" % share])
    s.check(durability(), recovers(within = "5s"))
`

func load(t *testing.T, text string) *lang.Script {
	t.Helper()
	s, err := lang.Load("dir/my_test.star", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScript(t *testing.T) {
	t.Parallel()
	s := load(t, whole)
	if s.Name != "my-test" || !strings.HasPrefix(s.Doc, "Doc of the file.") {
		t.Errorf("name %q, doc %q", s.Name, s.Doc)
	}
	got := ""
	for _, p := range s.Params {
		got += fmt.Sprintf("%s %s %s (%s)\n", p.Name, p.Type, p.Default, p.Doc)
	}
	const want = "outage string 10s (how long it lasts)\nrate int 100 (events per second)\nshare float 0.5 ()\nclean bool true ()\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	p, err := load(t, whole).Plan(map[string]string{"outage": "1m", "rate": "7", "share": "0.25", "clean": "False"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if p.Phases[1].Length.String() != "1m" || p.Traffic[0].EventsPerSecond != 7 || p.Phases[1].Faults[0].Kind != system.FaultKill || p.Phases[2].Expect[0].Value != 0.25 {
		t.Errorf("got %+v", p)
	}
	if want := (plan.Param{Name: "clean", Default: "true", Value: "false"}); p.Params[3] != want {
		t.Errorf("got %+v, want %+v", p.Params[3], want)
	}
	if p, err = load(t, whole).Plan(map[string]string{"share": "1"}, 1); err != nil || p.Phases[2].Expect[0].Value != 1 {
		t.Errorf("a whole number for a float: %v", err)
	}
}

func TestWrongParameters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{
		{"outag", "1m", `scenario my-test: parameter "outag" does not exist: did you mean outage?`},
		{"brokers", "3", `scenario my-test: parameter "brokers" does not exist: it has outage, rate, share, clean`},
		{"rate", "1.5", `scenario my-test: parameter "rate" takes a whole number, not "1.5": its default is 100`},
		{"rate", "99999999999999999999", `scenario my-test: parameter "rate" takes a whole number, not "99999999999999999999": its default is 100`},
		{"share", "NaN", `scenario my-test: parameter "share" takes a number, not "NaN": its default is 0.5`},
		{"share", "many", `scenario my-test: parameter "share" takes a number, not "many": its default is 0.5`},
		{"clean", "1", `scenario my-test: parameter "clean" takes true or false, not "1": its default is true`},
	} {
		_, err := load(t, whole).Plan(map[string]string{c.name: c.value}, 1)
		var wrong *lang.ParamError
		if !errors.As(err, &wrong) || err.Error() != c.want {
			t.Errorf("--set %s=%s: got %v\nwant %s", c.name, c.value, err, c.want)
		}
	}
	none := load(t, "def scenario(s):\n    pass\n")
	if _, err := none.Plan(map[string]string{"x": "1"}, 1); err == nil || !strings.Contains(err.Error(), "it has none") {
		t.Errorf("got %v", err)
	}
	// A wrong value of the right type is told where the script uses it.
	_, err := load(t, whole).Plan(map[string]string{"outage": "60 sec"}, 1)
	if err == nil || !strings.Contains(err.Error(), `in scenario(outage="60 sec", rate=100`) || !strings.Contains(err.Error(), "dir/my_test.star:12:18:") {
		t.Errorf("got %v", err)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	p, err := load(t, `
def scenario(s):
    s.traffic("t", events_per_second = 1)
    s.phase("w", "1s", stage = "warmup")
    s.phase("a", "1s")
    s.phase("b", "1s", faults = [kill(node("kafka1"))])
    s.phase("c", "1s")
    s.phase("d", "1s", faults = [kill(node("kafka1"))])
    s.phase("e", "1s", faults = [kill(node("kafka2"))], stage = "after")
    s.check(durability())
`).Plan(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, ph := range p.Phases {
		got += string(ph.Stage) + " "
	}
	if want := "warmup before during after during after "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSystem(t *testing.T) {
	t.Parallel()
	p, err := load(t, `
def scenario(s):
    s.system(
        kafka = kafka(brokers = 5, partitions = 12, session_timeout = "6s"),
        zookeeper = zookeeper(nodes = 5),
        shepherds = 4,
        shepherd = shepherd(chunk_events = 3, sick_for = "2s", linger = "5ms"),
        retriever = retriever(sync_every = "50ms"),
    )
    s.traffic("t", shape = "ramp", events_per_second = 1, to_per_second = 1.5, timeout = "2s")
    s.phase("a", "1s")
    s.check(no_phantoms(), slo("ingest", target = "99.99%", within = "1s"))
`).Plan(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := system.Default()
	want.Kafka.Brokers, want.Kafka.Partitions, want.Kafka.SessionTimeout = 5, 12, 6e9
	want.ZooKeeper.Nodes, want.Shepherds, want.Shepherd.ChunkEvents, want.Shepherd.SickFor, want.Shepherd.Linger, want.Retriever.SyncEvery = 5, 4, 3, 2e9, 5e6, 5e7
	if !reflect.DeepEqual(p.System, want) {
		t.Errorf("got %+v, want %+v", p.System, want)
	}
	if p.Checks[1].Args.Target != 0.9999 {
		t.Errorf("99.99%% is %v", p.Checks[1].Args.Target)
	}
}

func TestReplicationFollowsBrokers(t *testing.T) {
	t.Parallel()
	for brokers, want := range map[int][2]int{1: {1, 1}, 2: {2, 1}, 3: {3, 2}, 5: {3, 2}} {
		s := load(t, fmt.Sprintf("def scenario(s):\n    s.system(kafka = kafka(brokers = %d))\n    s.traffic('t', events_per_second = 1)\n    s.phase('a', '1s')\n    s.check(durability())\n", brokers))
		p, err := s.Plan(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{int(p.System.Kafka.Replication), p.System.Kafka.MinISR}; got != want {
			t.Errorf("%d brokers: replication and min_insync are %v, want %v", brokers, got, want)
		}
	}
}

const chooses = `
def scenario(s):
    choose("before", ["x", "y", "z"])
    s.traffic("t", events_per_second = choose("rate", [1, 2, 3, 4, 5, 6, 7, 8]))
    s.phase("a", "1s")
    s.check(durability())
`

func TestChooseIsDrawnFromSeedAndName(t *testing.T) {
	t.Parallel()
	one := load(t, chooses)
	other := load(t, strings.Replace(chooses, `    choose("before", ["x", "y", "z"])`+"\n", "", 1))
	seen := map[float64]bool{}
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a, err := one.Plan(nil, seed)
		if err != nil {
			t.Fatal(err)
		}
		b, err := other.Plan(nil, seed)
		if err != nil {
			t.Fatal(err)
		}
		if a.Traffic[0].EventsPerSecond != b.Traffic[0].EventsPerSecond {
			t.Fatalf("seed %d: another choice beside it changed this one", seed)
		}
		if got, want := a.Choices[1].Value, fmt.Sprint(a.Traffic[0].EventsPerSecond); a.Choices[1].Name != "rate" || got != want {
			t.Fatalf("the plan says %q was drawn, and %s was", got, want)
		}
		seen[a.Traffic[0].EventsPerSecond] = true
	})
	if len(seen) < 5 {
		t.Errorf("only %d of 8 values were ever drawn", len(seen))
	}
}

func TestScriptIsUsedConcurrently(t *testing.T) {
	t.Parallel()
	s := load(t, chooses)
	plans := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range plans {
		wg.Go(func() {
			p, err := s.Plan(nil, 5)
			if err != nil {
				t.Error(err)
				return
			}
			plans[i], _ = p.Encode()
		})
	}
	wg.Wait()
	for _, data := range plans {
		if !bytes.Equal(data, plans[0]) {
			t.Fatal("plans of one seed differ")
		}
	}
}

func TestSourceTooLarge(t *testing.T) {
	t.Parallel()
	_, err := lang.Load("big.star", bytes.Repeat([]byte("#\n"), lang.MaxSource), nil)
	if err == nil || !strings.Contains(err.Error(), "more than 262144 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestSourceIsNoText loads files that the parser alone would cut short, or take for strings.
func TestSourceIsNoText(t *testing.T) {
	t.Parallel()
	const good = "def scenario(s):\n    s.note(\"café\")\n"
	if _, err := lang.Load("mine.star", []byte(good), nil); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"Latin-1":   {"def scenario(s):\n    s.note(\"é caf\xe9\")\n", "mine.star:2:18: byte 0xe9 is not UTF-8"},
		"NUL":       {good + "\x00" + good, "mine.star:3:1: the script has a NUL byte"},
		"UTF-16":    {"\xff\xfed\x00e\x00", "mine.star:1:1: the script is UTF-16"},
		"byte mark": {"\ufeff" + good, "mine.star:1:1: the script begins with a byte order mark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := lang.Load("mine.star", []byte(c.text), nil)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), "save the script as UTF-8") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// FuzzLoad looks for panics and errors without a place in scripts of any kind.
func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add(chooses)
	f.Add("def scenario(s):\n    s.phase(*[1], **{'length': kill})\n")
	f.Add("def scenario(s):\n    s.phase(sorted([1], key = node))\n")
	f.Add("load('//a.star', 'b')\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "*") || strings.Contains(text, "+") {
			return // scripts are trusted with memory
		}
		_, err := evaluate("fuzz.star", []byte(text), nil)
		var told *lang.Error
		if err == nil {
			return
		}
		if !errors.As(err, &told) {
			t.Fatalf("%T: %v", err, err)
		}
		if strings.Contains(told.Error(), "defect of Ratel") {
			t.Fatal(told)
		}
	})
}
