package reports

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// Shape of the heat map: time across, latency upwards, six rows to a decade.
const (
	heatColumns = 160
	heatPerTen  = 6
	heatLowest  = 100 * time.Microsecond // everything faster is in the lowest row
	heatHighest = 9                      // decades above heatLowest, at most
	heatLevels  = 5
	heatRow     = 9 // pixels
)

// heat is a heat map of latency over time, drawn as one path for each level of darkness.
type heat struct {
	Columns, Rows, Height int
	Paths                 []string // SVG paths of unit squares, faintest first; "" where no cell has that level
	Labels                []heatLabel
	Table                 chartTable
}

type heatLabel struct {
	Y    float64 // pixels from the top
	Text string
}

// heatRowOf is the row of a latency, counted from the lowest.
func heatRowOf(d time.Duration) int {
	if d <= heatLowest {
		return 0
	}
	r := int(math.Log10(float64(d)/float64(heatLowest)) * heatPerTen)
	return min(r, heatPerTen*heatHighest-1)
}

// heatFloor is the smallest latency of a row.
func heatFloor(row int) time.Duration {
	return time.Duration(float64(heatLowest) * math.Pow(10, float64(row)/heatPerTen))
}

// latencyHeat draws how the latencies of accepted events were spread in every moment; nil if none was accepted.
func latencyHeat(ops []evidence.Op, length time.Duration) *heat {
	if length <= 0 {
		return nil
	}
	const rows = heatPerTen * heatHighest
	var cells [heatColumns][rows]int64
	var total [rows]int64
	low, high, all := rows, -1, int64(0)
	for i := range ops {
		op := &ops[i]
		n := acceptedIn(op)
		if n == 0 || op.Done < 0 || op.Intended < 0 {
			continue
		}
		col := min(int(float64(op.Intended)/float64(length)*heatColumns), heatColumns-1)
		row := heatRowOf(op.Done - op.Intended)
		cells[col][row] += n
		total[row] += n
		all += n
		low, high = min(low, row), max(high, row)
	}
	if all == 0 {
		return nil
	}
	// A frame of at least one decade around what was measured, so that a quiet run does not look dramatic.
	low = low / heatPerTen * heatPerTen
	high = (high/heatPerTen+1)*heatPerTen - 1
	h := &heat{Columns: heatColumns, Rows: high - low + 1}
	h.Height = h.Rows * heatRow
	darkest := int64(0)
	for c := range cells {
		for r := low; r <= high; r++ {
			darkest = max(darkest, cells[c][r])
		}
	}
	var paths [heatLevels]strings.Builder
	for c := range cells {
		for r := low; r <= high; r++ {
			if n := cells[c][r]; n > 0 {
				// Logarithmic, or the few slow events that matter would be invisible beside the many fast ones.
				level := int(math.Log(float64(n)) / math.Log(float64(darkest)+1) * heatLevels)
				fmt.Fprintf(&paths[min(level, heatLevels-1)], "M%d %dh1v1h-1z", c, high-r)
			}
		}
	}
	for i := range paths {
		h.Paths = append(h.Paths, paths[i].String())
	}
	for r := low; r <= high+1; r += heatPerTen {
		h.Labels = append(h.Labels, heatLabel{Y: float64((high + 1 - r) * heatRow), Text: duration(heatFloor(r).Round(10 * time.Microsecond))})
	}
	h.Table = chartTable{Head: []string{"latency", "events", "share"}, Note: "Accepted events of the whole run."}
	for r := low; r <= high; r++ {
		if total[r] == 0 {
			continue
		}
		span := duration(heatFloor(r)) + " to " + duration(heatFloor(r+1))
		if r == 0 {
			span = "up to " + duration(heatFloor(1))
		}
		h.Table.Rows = append(h.Table.Rows, []string{span, count(total[r]), percent(float64(total[r]) / float64(all))})
	}
	return h
}

// acceptedIn is how many events of a request were accepted.
func acceptedIn(op *evidence.Op) int64 {
	if op.Code != 200 {
		return 0
	}
	n := int64(0)
	for _, p := range op.Parts {
		if p.Code == shepherd.Accepted {
			n += int64(p.Count)
		}
	}
	return n
}
