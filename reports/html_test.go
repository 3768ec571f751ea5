package reports

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// voids are the elements that HTML does not close; inside SVG an element may close itself.
var voids = map[string]bool{"meta": true, "br": true, "link": true, "img": true, "input": true, "hr": true}

// wellFormed checks that every element that begins also ends, in order, and returns all attributes met.
func wellFormed(t *testing.T, page []byte) (attributes []html.Attribute) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("never closed: %v", open)
			}
			return attributes
		case html.StartTagToken:
			tok := z.Token()
			attributes = append(attributes, tok.Attr...)
			if !voids[tok.Data] {
				open = append(open, tok.Data)
			}
		case html.SelfClosingTagToken:
			attributes = append(attributes, z.Token().Attr...)
		case html.EndTagToken:
			tok := z.Token()
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("</%s> closes %v", tok.Data, open)
			}
			open = open[:len(open)-1]
		case html.TextToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

func TestPageIsWellFormedAndAsksNoNetwork(t *testing.T) {
	t.Parallel()
	imports := regexp.MustCompile(`(?i)@import|url\(`)
	for _, f := range fixtures() {
		ev, j := f.make()
		page := render(t, HTML, ev, j)
		ids := map[string]bool{}
		for _, a := range wellFormed(t, page) {
			switch a.Key {
			case "src", "href", "xlink:href", "srcset", "action", "poster", "data", "formaction":
				if !strings.HasPrefix(a.Val, "#") {
					t.Errorf("%s: %s=%q leaves the page", f.name, a.Key, a.Val)
				}
			case "id":
				if ids[a.Val] {
					t.Errorf("%s: id %q twice", f.name, a.Val)
				}
				ids[a.Val] = true
			}
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: a handler in an attribute: %s", f.name, a.Key)
			}
		}
		if imports.Match(page) {
			t.Errorf("%s: a style that loads something", f.name)
		}
		if !bytes.Contains(page, []byte(`content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"`)) {
			t.Errorf("%s: the content security policy is not there", f.name)
		}
		if !bytes.Contains(page, []byte("ZgotmplZ")) {
			continue
		}
		t.Errorf("%s: the template refused a value", f.name)
	}
}

func TestVerdictAndReplayComeFirst(t *testing.T) {
	t.Parallel()
	ev, j := failing()
	page := string(render(t, HTML, ev, j))
	last := -1
	for _, part := range []string{`class="banner planted"`, `class="verdict fail"`, `id="replay"`, `id="h-timeline"`, `id="h-flow"`, `id="h-slo"`, `id="h-checks"`, `id="h-faults"`, `id="h-plan"`, `id="h-run"`} {
		i := strings.Index(page, part)
		if i <= last {
			t.Errorf("%s is missing or out of order", part)
		}
		last = i
	}
}

func TestWhatARunSaysCannotBecomeMarkup(t *testing.T) {
	t.Parallel()
	const attack = `</script><script>alert(1)</script><img src=http://evil.example/x onerror="alert(2)">'"&]]>` + "\x00\x1b[31m\u202e"
	ev, j := failing()
	ev.Run.Scenario, ev.Run.Build, ev.Run.World, ev.Run.Ended, ev.Run.Planted = attack, attack, attack, attack, []string{attack}
	ev.Gaps = []evidence.Gap{{What: attack, Why: attack}}
	ev.Plan.Doc, ev.Plan.Scenario, ev.Plan.Params[0].Value, ev.Plan.Phases[0].Name, ev.Plan.Traffic[0].Name = attack, attack, attack, attack, attack
	ev.Plan.Phases[1].Expect[0].Source = attack
	for i := range ev.Timeline {
		ev.Timeline[i].Detail, ev.Timeline[i].Event, ev.Timeline[i].Node = attack, attack, attack
	}
	j.Reason, j.Phases[0].Name, j.Stages[0].SLOs[0].Name, j.Series.Columns[0].Unit = attack, attack, attack, attack
	j.Faults[0].Detail, j.Faults[0].Effect, j.Faults[0].Node, j.Faults[0].ID, j.Faults[0].Kind = attack, attack, attack, attack, attack
	for i := range j.Results {
		r := &j.Results[i]
		r.Name, r.Summary = attack, attack
		for k := range r.Findings {
			f := &r.Findings[k]
			f.Title, f.Evidence, f.Fault, f.Phase = attack, []string{attack}, attack, attack
			for n := range f.Examples {
				f.Examples[n].Dataset, f.Examples[n].Where, f.Examples[n].Target = attack, attack, attack
			}
		}
	}
	page := render(t, HTML, ev, j)
	for _, a := range wellFormed(t, page) {
		if a.Key == "onerror" || a.Key == "src" {
			t.Errorf("markup out of the run: %s=%q", a.Key, a.Val)
		}
	}
	if n := bytes.Count(page, []byte("<script")); n != 3 {
		t.Errorf("%d scripts, expected the page's own 3", n)
	}
	var back struct{ Zooms []struct{ Name string } }
	block := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindSubmatch(page)
	if block == nil {
		t.Fatal("no data block")
	}
	if err := json.Unmarshal(block[1], &back); err != nil {
		t.Errorf("the data block is not JSON: %v", err)
	}
	var doc junitSuites
	unmarshalXML(t, render(t, JUnit, ev, j), &doc)
	var text bytes.Buffer
	if err := Text(&text, ev, j, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x00\x1b\u202e") {
		t.Error("a run can steer the terminal")
	}
}

func TestHugeRunsMakeSmallPages(t *testing.T) {
	t.Parallel()
	ev, j := failing()
	const bins = 200_000
	for i := range j.Series.Columns {
		v := make(check.Values, bins)
		for n := range v {
			v[n] = float64(n % 977)
		}
		v[123_457] = 1e6 // one peak that must not be lost
		j.Series.Columns[i].Values = v
	}
	ev.Run.Length = bins * time.Second
	finding := j.Results[3].Findings[0]
	finding.Evidence = make([]string, 10_000)
	for i := range finding.Evidence {
		finding.Evidence[i] = strings.Repeat("x", 10_000)
	}
	j.Results[3].Findings = nil
	for range 5_000 {
		j.Results[3].Findings = append(j.Results[3].Findings, finding)
		j.Faults = append(j.Faults, j.Faults[0])
		ev.Timeline = append(ev.Timeline, evidence.Entry{At: time.Duration(len(ev.Timeline)) * time.Second, Kind: evidence.Announced, Event: "isr.changed"})
	}
	j.Faults = j.Faults[:1000]
	d := charts(j)
	if n := len(d.X); n > maxPoints {
		t.Errorf("%d moments, at most %d are wanted", n, maxPoints)
	}
	for _, c := range d.Charts {
		for _, l := range c.Lines {
			if len(l.Values) != len(d.X) {
				t.Errorf("%s: %d values for %d moments", l.Label, len(l.Values), len(d.X))
			}
			peak := 0.0
			for _, v := range l.Values {
				peak = max(peak, v)
			}
			if peak != 1e6 {
				t.Errorf("%s: the peak was lost", l.Label)
			}
		}
		if len(c.Table.Rows) > maxTableRows {
			t.Errorf("%s: a table of %d rows", c.ID, len(c.Table.Rows))
		}
	}
	if page := render(t, HTML, ev, j); len(page) > 3<<20 {
		t.Errorf("a page of %d bytes", len(page))
	}
}

func TestThinningKeepsExtremesAndGaps(t *testing.T) {
	t.Parallel()
	bins := maxPoints * 3
	v := make(check.Values, bins)
	for i := range v {
		v[i] = math.NaN()
	}
	v[0], v[5], v[bins-1] = 7, -3, 42
	got := sample(v, bins)
	if len(got) > maxPoints || len(got) != len(sampleTimes(bins, 1)) {
		t.Fatalf("%d points for %d moments", len(got), len(sampleTimes(bins, 1)))
	}
	if got[0] != 7 || got[1] != -3 || !math.IsNaN(got[2]) || got[len(got)-1] != 42 {
		t.Errorf("got %v … %v", got[:4], got[len(got)-2:])
	}
}

func TestAnEmptyRunHasAPageToo(t *testing.T) {
	t.Parallel()
	ev := &evidence.Evidence{Run: evidence.Run{Scenario: "nothing", World: "sim"}}
	j := &check.Judgement{}
	wellFormed(t, render(t, HTML, ev, j))
	render(t, JSON, ev, j)
	render(t, JUnit, ev, j)
	var b bytes.Buffer
	if err := Text(&b, ev, j, TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "INCONCLUSIVE") {
		t.Error("a run without a judgement reads as judged")
	}
}
