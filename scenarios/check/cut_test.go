package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// cutAt ends a run as an interrupt does: what was not answered yet never is, and nothing is read back.
func cutAt(e *evidence.Evidence, at time.Duration) {
	e.Run.Ended, e.Run.Length = "interrupted", at
	e.Ops = slices.DeleteFunc(e.Ops, func(o evidence.Op) bool { return o.Intended > at })
	for i := range e.Ops {
		o := &e.Ops[i]
		if o.Done > at {
			o.Done, o.Code, o.Error, o.NotSent, o.Parts = None, 0, "", false, nil
		}
		if o.Sent > at {
			o.Sent = None
		}
	}
	e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool { return x.At > at })
	e.Samples = slices.DeleteFunc(e.Samples, func(x evidence.Sample) bool { return x.At > at })
	e.Log, e.Held = nil, nil
}

// A run that went well until it was interrupted has not failed, whenever that was.
func TestACleanRunCutShortIsInconclusive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawShape(t).history()
		cutAt(e, time.Duration(rapid.Int64Range(0, int64(e.Run.Length)).Draw(t, "cut at")))
		if j := Judge(e); j.Verdict != Inconclusive {
			t.Fatal(verdicts(j))
		}
	})
}

// TestACutJustAfterAPhaseLeavesItsLastRequestsOpen: they had no time to be answered, although their phase had ended.
func TestACutJustAfterAPhaseLeavesItsLastRequestsOpen(t *testing.T) {
	t.Parallel()
	s := defaultShape()
	for _, after := range []time.Duration{0, time.Millisecond} {
		e := s.history()
		for i := range e.Ops {
			if o := &e.Ops[i]; o.Intended < s.before && o.Intended > s.before-100*time.Millisecond {
				o.Done = s.before + 3*time.Millisecond
			}
		}
		cutAt(e, s.before+after)
		if j := Judge(e); j.Verdict != Inconclusive {
			t.Errorf("%v after it: %v", after, verdicts(j))
		}
	}
}

// What a run had proven before it was interrupted still counts.
func TestADefectBeforeTheCutIsTold(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	for i := range e.Ops {
		if o := &e.Ops[i]; o.Intended < 10*sec {
			o.Done = o.Intended + 5*sec
		}
	}
	cutAt(e, 25*sec)
	if j := Judge(e); j.Verdict != Fail {
		t.Fatal(verdicts(j))
	}
}

func TestTheFirstSignOfAFaultCountsAndAllAreTold(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	at := slices.IndexFunc(e.Timeline, func(x evidence.Entry) bool { return x.Kind == evidence.FaultObserved })
	second := e.Timeline[at]
	first := second.At
	second.At, second.Detail = first+3222*time.Millisecond, "leaders moved from kafka2: events/0→kafka1"
	e.Timeline = slices.Insert(e.Timeline, at+1, second)
	f := Judge(e).Faults[0]
	if want := "kafka2 refuses connections; after 3.52s: leaders moved from kafka2: events/0→kafka1"; f.Observed != first || f.Effect != want {
		t.Errorf("observed at %v: %s\nwant %v: %s", f.Observed, f.Effect, first, want)
	}
}

func TestNumbersAreForPeople(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		number(0): "0", number(999): "999", number(1000): "1,000", number(-1234567): "-1,234,567", figure(2.5): "2.5", figure(64990): "64,990",
		plural(1, "event"): "1 event", plural(12345, "copy", "copies"): "12,345 copies", short(536123): "536.12µs", short(15002956227): "15s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if strings.Contains(short(9703646369), "646369") {
		t.Error(short(9703646369))
	}
}
