package catalog

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/port"
)

// Bounds of what the database's columns hold, in bytes.
const (
	maxKindBytes     = 32
	maxConsumerBytes = 64
	maxTopicBytes    = 249 // Kafka's own
	maxNodeBytes     = 255
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w (%w)", fmt.Errorf(format, args...), port.ErrRefused)
}

// CheckDefinition says what is wrong with a definition's kind, name and body. The error matches port.ErrRefused.
func CheckDefinition(d port.Definition) error {
	if d.Kind == "" || len(d.Kind) > maxKindBytes {
		return bad("the kind of a definition has %d bytes, expected 1 to %d", len(d.Kind), maxKindBytes)
	}
	return CheckRedefinition(d)
}

// CheckRedefinition is CheckDefinition of what can change.
func CheckRedefinition(d port.Definition) error {
	switch {
	case d.Name == "" || len(d.Name) > MaxNameBytes:
		return bad("%w: the name of a definition has %d bytes, expected 1 to %d", ErrName, len(d.Name), MaxNameBytes)
	case !utf8.ValidString(d.Name):
		return bad("%w: the name of a definition is not UTF-8: %q", ErrName, d.Name)
	case len(d.Body) > port.MaxBodyBytes:
		return bad("the body of definition %q has %d bytes, expected at most %d", d.Name, len(d.Body), port.MaxBodyBytes)
	}
	return nil
}

// CheckAdvance says what makes no sense in a step of counting. The error matches port.ErrRefused.
func CheckAdvance(a port.Advance) error {
	switch {
	case a.Consumer == "" || len(a.Consumer) > maxConsumerBytes:
		return bad("the consumer's name has %d bytes, expected 1 to %d", len(a.Consumer), maxConsumerBytes)
	case a.Topic == "" || len(a.Topic) > maxTopicBytes:
		return bad("the topic's name has %d bytes, expected 1 to %d", len(a.Topic), maxTopicBytes)
	case len(a.By) > maxNodeBytes:
		return bad("the node's name has %d bytes, expected at most %d", len(a.By), maxNodeBytes)
	case a.Partition < 0 || a.From < 0 || a.To < a.From:
		return bad("partition %d from %d to %d: expected none below 0, and an end that is not before the beginning", a.Partition, a.From, a.To)
	}
	for _, c := range a.Counts {
		if c.Minute%60 != 0 || c.Good < 0 || c.Good > c.Total || c.Total > port.MaxCount {
			return bad("counts %+v: expected a minute's start in seconds, and numbers with 0 <= good <= total <= %d", c, int64(port.MaxCount))
		}
	}
	sorted := SortCounts(a.Counts)
	for i := range len(sorted) - 1 {
		if c, next := sorted[i], sorted[i+1]; c.SLO == next.SLO && c.Minute == next.Minute {
			return bad("SLO %d has two counts of minute %d, expected one", c.SLO, c.Minute)
		}
	}
	return nil
}

// SortCounts returns counts by SLO and minute: in one order for all, so that writers do not deadlock.
func SortCounts(counts []port.SLOCount) []port.SLOCount {
	order := func(a, b port.SLOCount) int {
		return cmp.Or(cmp.Compare(a.SLO, b.SLO), cmp.Compare(a.Minute, b.Minute))
	}
	if slices.IsSortedFunc(counts, order) {
		return counts
	}
	sorted := slices.Clone(counts)
	slices.SortFunc(sorted, order)
	return sorted
}

// CheckEvaluation says what is wrong with an evaluation. The error matches port.ErrRefused.
func CheckEvaluation(e port.Evaluation) error {
	switch {
	case math.IsNaN(e.Value) || math.IsInf(e.Value, 0):
		return bad("the value of alert %d in window %d is %v, expected a finite number", e.Alert, e.Window, e.Value)
	case len(e.Notice) > port.MaxBodyBytes:
		return bad("the notice of alert %d in window %d has %d bytes, expected at most %d", e.Alert, e.Window, len(e.Notice), port.MaxBodyBytes)
	}
	return CheckEpoch(e.Epoch, e.By)
}

// CheckEpoch says what is wrong with a leader's epoch and name. The error matches port.ErrRefused.
func CheckEpoch(epoch int64, by string) error {
	switch {
	case epoch < 0:
		return bad("epoch %d: expected none below 0", epoch)
	case len(by) > maxNodeBytes:
		return bad("the node's name has %d bytes, expected at most %d", len(by), maxNodeBytes)
	}
	return nil
}

// Recorded is an evaluation as the database keeps it: times in UTC, to the nanosecond; no zero below zero; and a notice of
// its own.
func Recorded(e port.Evaluation) port.Evaluation {
	e.At, e.Delivered, e.Notice = Stamp(e.At), Stamp(e.Delivered), bytes.Clone(e.Notice)
	e.Value += 0 // -0 + 0 is 0
	return e
}

// Stamp is a time as the database keeps it: in UTC, to the nanosecond; the zero time stays zero.
func Stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(0, t.UnixNano()).UTC()
}
