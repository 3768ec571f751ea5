package check

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// plural writes a number with its noun: plural(2, "event") is "2 events"; an irregular plural is given.
func plural(n int64, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return number(n) + " " + many[0]
	}
	return number(n) + " " + one + "s"
}

// number writes a count with its thousands apart: 64,990.
func number[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func join(list []string) string { return strings.Join(list, ", ") }

// percent writes a share with as many digits as tell it from all and nothing.
func percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 7, 64) + "%"
}

// figure writes a measured count, which need not be whole.
func figure(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return number(int64(v))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// moment writes a time of the run finely enough to be found in logs.
func moment(d time.Duration) string { return d.Round(time.Millisecond).String() }

// short rounds a time for people.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Nanosecond).String()
}
