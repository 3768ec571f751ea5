package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// The five elements of JUnit's XML that its readers agree on. A scenario is a suite and a check is a case; what failed is a
// failure, what is inconclusive an error, because a reader must not take it for a success.
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Time       string          `xml:"time,attr"` // seconds of the run's own clock
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitTrouble `xml:"failure,omitempty"`
		Error   *junitTrouble `xml:"error,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitTrouble struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes junit.xml: a testsuite for the scenario, a testcase for each check.
func JUnit(w io.Writer, ev *evidence.Evidence, j *check.Judgement) error {
	suite := junitSuite{
		Name: ev.Run.Scenario,
		Time: strconv.FormatFloat(ev.Run.Length.Seconds(), 'f', 3, 64),
		Properties: []junitProperty{
			{"verdict", j.Verdict.String()},
			{"reason", j.Reason},
			{"world", ev.Run.World},
			{"seed", strconv.FormatUint(ev.Run.Seed, 10)},
			{"build", ev.Run.Build},
			{"replay", Replay(ev)},
		},
	}
	if len(ev.Run.Planted) > 0 {
		suite.Properties = append(suite.Properties, junitProperty{"planted", strings.Join(ev.Run.Planted, " ")})
	}
	for _, r := range j.Results {
		c := junitCase{Class: "ratel." + ev.Run.Scenario, Name: r.Name}
		if r.Pos != nil {
			c.File, c.Line = r.Pos.File, r.Pos.Line
		}
		switch r.Verdict {
		case check.Pass:
			c.Out = r.Summary
		case check.Fail:
			c.Failure = &junitTrouble{Message: r.Summary, Type: r.Check, Text: junitText(r, ev)}
			suite.Failures++
		case check.Inconclusive:
			c.Error = &junitTrouble{Message: r.Summary, Type: r.Check, Text: junitText(r, ev)}
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Tests = len(suite.Cases)
	doc := junitSuites{Name: "ratel", Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Suite: suite}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitText is what a person reads who sees only the failed case: the evidence and how to see it again.
func junitText(r check.Result, ev *evidence.Evidence) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Summary)
	shown, rest := bounded(r.Findings, maxFindings)
	for _, f := range shown {
		fmt.Fprintf(&b, "\n%s: %s%s\n", f.Verdict, f.Title, findingPlace(f))
		lines, more := bounded(f.Evidence, maxEvidence)
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", clip(line, maxLine))
		}
		if more > 0 {
			fmt.Fprintf(&b, "  and %s more in %s\n", plural(more, "line"), VerdictFile)
		}
		examples, _ := bounded(f.Examples, check.MaxExamples)
		for _, e := range examples {
			fmt.Fprintf(&b, "  %s\n", exampleText(e))
		}
	}
	if rest > 0 {
		fmt.Fprintf(&b, "\nand %s more in %s\n", plural(rest, "finding"), VerdictFile)
	}
	fmt.Fprintf(&b, "\nreplay: %s\n", Replay(ev))
	return b.String()
}
