package trigger

import (
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// maxCatchUp is how far back windows that nobody has evaluated are made up for.
const maxCatchUp = 24 * time.Hour

// burnFrequency is how often a burn alert is evaluated: counts are by the minute.
const burnFrequency = time.Minute

// windowAfter is the first window's end, a multiple of the frequency in Unix time, that comes after a moment.
func windowAfter(t time.Time, frequency time.Duration) int64 {
	n, f := t.UnixNano(), int64(frequency)
	return n - n%f + f
}

// firstWindow is the window that a new leader begins with: the one after the last that was evaluated, or after the
// definition was made; but none of more than a day ago, nor one that ended more than a frequency before the definition was
// last changed, because it was another one then.
func firstWindow(d *port.Definition, last *port.Evaluation, frequency time.Duration, now time.Time) int64 {
	from := d.Created
	if d.Version > 1 && d.Updated.Add(-frequency).After(from) {
		from = d.Updated.Add(-frequency)
	}
	if day := now.Add(-maxCatchUp); day.After(from) {
		from = day
	}
	first := windowAfter(from, frequency)
	if last != nil {
		first = max(first, windowAfter(time.Unix(0, last.Window), frequency))
	}
	return first
}
