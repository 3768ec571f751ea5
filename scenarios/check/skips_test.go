package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

const poisonAt = 1 << 30

func announceSkip(e *evidence.Evidence, node string, part int32, detail string) {
	e.Timeline = append(e.Timeline, evidence.Entry{
		At: e.Timeline[len(e.Timeline)-1].At, Kind: evidence.Announced, Event: port.EventRecordSkipped, Node: node, Topic: system.EventsTopic, Part: part, Detail: detail,
	})
}

// poisonedHistory has a record that cannot be decoded in partition 5, which its retriever and a worker have passed over, and said so.
func poisonedHistory() *evidence.Evidence {
	e := defaultShape().history()
	e.Plan.System.Beagles = 1
	e.Plan.Phases[0].Faults = []plan.Fault{{Kind: system.FaultPoison}}
	poisonLog(e, poisonAt)
	e.Progress = []evidence.Progress{{At: 40 * sec, Partition: 5, Next: poisonAt + 1}}
	announceSkip(e, "retriever6", 5, "offset 1073741824: the chunk's checksum does not match")
	announceSkip(e, "beagle1", 5, "offset 1073741824: the chunk's checksum does not match")
	return e
}

func silence(e *evidence.Evidence, node string) {
	e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool {
		return x.Kind == evidence.Announced && x.Event == port.EventRecordSkipped && x.Node == node
	})
}

func TestSkips(t *testing.T) {
	t.Parallel()
	const undecodable = "a record that cannot be decoded was passed over in silence by "
	for name, c := range map[string]struct {
		plant func(e *evidence.Evidence)
		want  Verdict
		says  string
	}{
		"announced by both":  {func(*evidence.Evidence) {}, Pass, "each of 1 record"},
		"a silent retriever": {func(e *evidence.Evidence) { silence(e, "retriever6") }, Fail, undecodable + "retriever6"},
		"a silent worker":    {func(e *evidence.Evidence) { silence(e, "beagle1") }, Fail, undecodable + "beagle workers"},
		"said of another": {func(e *evidence.Evidence) {
			silence(e, "beagle1")
			announceSkip(e, "beagle1", 4, "offset 1073741824: x")
		}, Fail, undecodable + "beagle workers"},
		"not counted so far": {func(e *evidence.Evidence) { silence(e, "beagle1"); e.Progress[0].Next = poisonAt }, Pass, ""},
		"a retriever that began anew may have begun behind it, but somebody has read it": {func(e *evidence.Evidence) {
			silence(e, "retriever6")
			e.Timeline = append(e.Timeline, evidence.Entry{At: e.Timeline[len(e.Timeline)-1].At, Kind: evidence.Announced, Event: port.EventNodeStarted, Node: "retriever6"})
		}, Fail, undecodable + "retrievers"},
		"a record that can be read": {func(e *evidence.Evidence) { announceSkip(e, "retriever1", 0, "offset 3: what is it") }, Fail, "a record that can be decoded was passed over by retriever1"},
		"the record that can be decoded, and was never meant to be": {func(e *evidence.Evidence) {
			e.Log = append(e.Log, evidence.LogMark{Partition: 5, Offset: poisonAt + 1, State: evidence.Foreign})
			e.Timeline = append(e.Timeline, evidence.Entry{At: e.Timeline[len(e.Timeline)-1].At, Kind: evidence.Poisoned, Topic: "events", Part: 5, Offset: poisonAt + 1, Detail: "hostile/outage/0/1"})
			announceSkip(e, "beagle1", 5, "offset 1073741825: a strange chunk")
		}, Fail, "a record that can be decoded was passed over by beagle1"},
		"gone from the log": {func(e *evidence.Evidence) {
			e.Log = slices.DeleteFunc(e.Log, func(m evidence.LogMark) bool { return m.Offset == poisonAt })
			silence(e, "retriever6")
		}, Inconclusive, "no record that cannot be decoded is in the log"},
		"the log is not known": {func(e *evidence.Evidence) {
			silence(e, "retriever6")
			e.Log, e.Gaps = nil, []evidence.Gap{{What: "log", Why: "no broker answered"}}
		}, Inconclusive, "not known"},
		"not read to the end": {func(e *evidence.Evidence) {
			silence(e, "retriever6")
			dropEntries(e, evidence.Drained)
		}, Inconclusive, "did not reach the end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := poisonedHistory()
			c.plant(e)
			res := result(Judge(e), CheckSkips)
			all := res.Summary
			for _, f := range res.Findings {
				all += "\n" + f.Title
			}
			if res.Verdict != c.want || !strings.Contains(all, c.says) {
				t.Errorf("%v, want %v and %q:\n%s", res.Verdict, c.want, c.says, all)
			}
		})
	}
	if r := result(Judge(defaultShape().history()), CheckSkips); r.Check != "" {
		t.Errorf("judged without poison: %+v", r)
	}
}
