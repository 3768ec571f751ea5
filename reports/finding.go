package reports

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
)

// Bounds that keep a report readable and its size independent of how badly a run went. verdict.json has everything.
const (
	maxFindings = 50  // of one check
	maxEvidence = 20  // lines of one finding
	maxLine     = 500 // runes of one line
)

// bounded is the first n of list and how many were left out.
func bounded[T any](list []T, n int) (shown []T, rest int) {
	if len(list) <= n {
		return list, 0
	}
	return list[:n], len(list) - n
}

// findingPlace says when, during what and where in the script: " (12 times, at 34.200 s in outage, during kill kafka2, broker-loss.star:23:18)".
func findingPlace(f check.Finding) string {
	var parts []string
	if f.Count > 1 && !strings.Contains(strings.ReplaceAll(f.Title, ",", ""), strconv.FormatInt(f.Count, 10)) {
		parts = append(parts, count(f.Count)+" times")
	}
	if f.At >= 0 {
		at := "at " + moment(f.At)
		if f.Phase != "" {
			at += " in " + f.Phase
		}
		parts = append(parts, at)
	}
	if f.Fault != "" {
		parts = append(parts, f.Fault)
	}
	if f.Pos != nil {
		parts = append(parts, f.Pos.String())
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// exampleText is one event in one line.
func exampleText(e check.Example) string {
	s := fmt.Sprintf("producer %d event %d to %q", e.Producer, e.Seq, e.Dataset)
	if e.Target != "" {
		s += " by " + e.Target
	}
	if e.Answer != 0 {
		s += fmt.Sprintf(", answered %d", e.Answer)
	}
	if e.At != check.None {
		s += " at " + moment(e.At)
	}
	if e.Receipt {
		s += fmt.Sprintf(", receipt %s", placeInLog(e.Part, e.Offset))
	}
	if e.Where != "" {
		s += ": " + e.Where
	}
	return clip(s, maxLine)
}

func placeInLog(partition int32, offset int64) string {
	if partition < 0 {
		return "–"
	}
	if offset < 0 {
		return fmt.Sprintf("partition %d", partition)
	}
	return fmt.Sprintf("partition %d offset %d", partition, offset)
}

// after is how long after another moment one came: "+320 ms".
func after(t, since time.Duration) string {
	if t < 0 || since < 0 {
		return ""
	}
	return "+" + duration(max(t-since, 0))
}
