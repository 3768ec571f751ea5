package check

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/shepherd"
)

var update = flag.Bool("update", false, "write the saved runs and golden judgements anew")

// histories are small runs, saved once and judged again ever since: a change of a check that judges one of them otherwise
// has to say so by changing its golden judgement.
func histories() map[string]*evidence.Evidence {
	small := defaultShape()
	small.producers, small.batch, small.perSecond = 3, 5, 10
	small.before, small.during, small.after = 4*sec, 4*sec, 12*sec
	histories := map[string]*evidence.Evidence{}
	add := func(name string, plant func(e *evidence.Evidence)) {
		e := small.history()
		plant(e)
		histories[name] = e
	}
	add("clean", func(*evidence.Evidence) {})
	add("lost-at-each-stage", func(e *evidence.Evidence) {
		lose(e, 3*sec, 4*sec)
		lose(e, 5*sec, 7*sec).Offset = -1
		o, part, seq := accepted(e, 5*sec, 7*sec, 1)
		dropHeld(e, o.Producer, seq, part.Count)
	})
	add("stored-wrongly", func(e *evidence.Evidence) {
		_, part, _ := accepted(e, 5*sec, 7*sec, 1)
		part.Code, part.Offset = shepherd.Throttled, -1
		e.Held = append(e.Held, e.Held[len(e.Held)-1])
		e.Held[3].State = evidence.Corrupt
		e.Log[8].Seq = 1 << 30
	})
	add("does-not-recover", func(e *evidence.Evidence) {
		setSamples(e, 9*sec, time.Hour, evidence.UnderReplicated, 2)
		for i := range e.Ops[:10] {
			e.Ops[i].Done += 2 * sec
		}
	})
	add("nothing-proven", func(e *evidence.Evidence) {
		dropEntries(e, evidence.FaultObserved)
		dropSamples(e, 0, time.Hour, evidence.Offline)
		e.Gaps = append(e.Gaps, evidence.Gap{What: "held", Why: "retriever2 did not answer"})
	})
	e := defaultPipe().history()
	for _, name := range []string{"one of the pair lacks an event", "the pair's sums differ", "an object is absent", "an answer counts too much", "a pair in one zone"} {
		i := slices.IndexFunc(pipePlantings, func(p pipePlanting) bool { return p.name == name })
		pipePlantings[i].plant(e, 5)
	}
	histories["pipeline"] = e
	return histories
}

func TestSavedRunsAreJudgedAsBefore(t *testing.T) {
	t.Parallel()
	for name, made := range histories() {
		dir := filepath.Join("testdata", "histories", name)
		golden := filepath.Join("testdata", "judgements", name+".json")
		old, err := evidence.Load(dir)
		if *update && (err != nil || old.Run.Version == evidence.Version) { // those of older versions stay as they are
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := evidence.Save(dir, made); err != nil {
				t.Fatal(err)
			}
		}
		e, err := evidence.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(Judge(e), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := evidence.WriteFileAtomic(golden, got); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is judged otherwise than in %s; if that is meant, run the test with -update and review the difference:\n%s", name, golden, firstLine(got, want))
		}
		var back Judgement
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%s: the judgement cannot be read back: %v", name, err)
		}
		if again, err := json.MarshalIndent(back, "", "  "); err != nil || !bytes.Equal(append(again, '\n'), got) {
			t.Errorf("%s: the judgement read back is another (%v):\n%s", name, err, firstLine(again, got))
		}
	}
}

// firstLine shows the first line that differs.
func firstLine(got, want []byte) string {
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return "got  " + string(a[i]) + "\nwant " + string(b[i])
		}
	}
	return "one is longer"
}
