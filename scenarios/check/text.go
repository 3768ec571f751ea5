package check

import (
	"fmt"
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
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func join(list []string) string { return strings.Join(list, ", ") }

// percent writes a share with as many digits as tell it from all and nothing.
func percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 7, 64) + "%"
}

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
	return d.String()
}
