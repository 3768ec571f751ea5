package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count writes a whole number with thousands separated: 1,234,567.
func count[T ~int | ~int32 | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// duration writes a duration with three significant digits, as people say it: 4.21 ms, 1.5 s, 2m05s. Negative means unknown.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d == 0:
		return "0 s"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", int64(d))
	case d < time.Millisecond:
		return significant(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return significant(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return significant(d.Seconds()) + " s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// moment writes a time since the start of the run so that moments line up and can be compared: 12.345 s.
func moment(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s"
}

// significant writes a number with three significant digits and without trailing zeros.
func significant(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// percent writes a ratio as a percentage with enough digits that 0.99995 does not read 100 %.
func percent(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "–"
	case ratio == 0:
		return "0 %"
	case ratio == 1:
		return "100 %"
	case ratio > 0.9 && ratio < 1:
		// Two digits of what is missing, never rounded up: 0.99995 is 99.995 %, and 0.98996, which misses 99 %, is 98.9 %.
		digits := 1
		if ratio > 0.99 {
			digits = min(int(math.Ceil(-math.Log10(1-ratio)-1e-9)), 9)
		}
		v := math.Floor(ratio*100*math.Pow10(digits)+1e-6) / math.Pow10(digits)
		return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', digits, 64), "0"), ".") + " %"
	}
	return significant(ratio*100) + " %"
}

// plural is "1 event" or "2 events".
func plural[T ~int | ~int64 | ~uint64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// clip shortens s to at most n runes, marking the cut.
func clip(s string, n int) string {
	if n <= 0 {
		return ""
	}
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
