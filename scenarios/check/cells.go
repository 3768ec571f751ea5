package check

import (
	"fmt"
	"math"

	field "github.com/ratel-sim/ratel/system/event"
)

// judge compares one cell.
func (c *acc) judge(calc calculation) *misfit {
	value := c.answer.Value
	got := value.Float()
	ranged := func(low, high, slack float64) *misfit {
		m := &misfit{want: between(low, high), got: show(value)}
		switch {
		case value.Kind() == field.Null || got < low-slack:
			m.kind = "too little"
		case got > high+slack || got != got:
			m.kind = "too much"
		default:
			return nil
		}
		return m
	}
	if calc.Op == "COUNT" {
		return ranged(c.count, c.count+c.mayCount, 0)
	}
	if calc.Op == "COUNT_DISTINCT" {
		low, high := float64(ones(c.seen)), float64(ones(c.maySeen))
		slack := 0.0
		if high > distinctExact {
			slack = high * distinctError
		}
		return ranged(low, high, slack)
	}
	if calc.Op == "HEATMAP" {
		return c.judgeHeatmap()
	}
	if value.Kind() == field.Null {
		if c.anyMust {
			return &misfit{kind: "too little", want: "a number", got: "null"}
		}
		return nil
	}
	if !c.anyMust && !c.anyMay {
		return &misfit{kind: "too much", want: "null", got: show(value)}
	}
	switch calc.Op {
	case "SUM":
		return ranged(c.sum+c.low, c.sum+c.high, sumError*(math.Abs(c.sum)+c.high-c.low))
	case "MIN":
		high := c.minMust
		if !c.anyMust {
			high = c.maxAll
		}
		m := ranged(c.minAll, high, 0)
		if m != nil { // a minimum that is too high lacks events
			m.kind = map[string]string{"too little": "too much", "too much": "too little"}[m.kind]
		}
		return m
	case "MAX":
		low := c.maxMust
		if !c.anyMust {
			low = c.minAll
		}
		return ranged(low, c.maxAll, 0)
	case "AVG":
		low, high := c.minAll, c.maxAll
		if c.anyMust {
			low, high = c.means()
		}
		if m := ranged(low, high, sumError*max(math.Abs(low), math.Abs(high))); m != nil {
			m.kind = "wrong"
			return m
		}
		return nil
	}
	return c.judgePercentile(percentiles[calc.Op])
}

// judgePercentile: a percentile is the smallest value that at least its share of the weight does not exceed, within its
// error. It is wrong if that cannot be so whichever of the events that may be counted were counted.
func (c *acc) judgePercentile(share float64) *misfit {
	const slack = 1e-9
	// With those that may be counted and help, and without the others.
	enough := c.below+c.mayBelow >= share*(c.count+c.mayBelow)*(1-slack)
	notMore := c.under <= share*(c.count+c.mayOver)*(1+slack)
	m := &misfit{kind: "wrong", got: showNumber(c.answered)}
	if c.uppermost < c.minAll || c.lowest > c.maxAll {
		m.want = "a value from " + between(c.minAll, c.maxAll)
		return m
	}
	if enough && notMore {
		return nil
	}
	at, all := c.below, c.count
	what := "not above it"
	if !notMore {
		at, what = c.under, "below it"
	}
	m.want = fmt.Sprintf("the value that %s of the weight does not exceed; %s of %s is %s", percent(share), showNumber(at), showNumber(all), what)
	return m
}

func (c *acc) judgeHeatmap() *misfit {
	if c.outside > 0 {
		return &misfit{kind: "too little", want: "each value in a bucket", got: fmt.Sprintf("%s outside of all %d buckets", showNumber(c.outside), len(c.inBuckets))}
	}
	for i, b := range c.inBuckets {
		low, high := c.buckets[i], c.buckets[i]+c.mayIn[i]
		if b.Count < low || b.Count > high {
			kind := "too little"
			if b.Count > high {
				kind = "too much"
			}
			return &misfit{kind: kind, want: fmt.Sprintf("%s in the bucket from %s to %s", between(low, high), showNumber(b.From), showNumber(b.To)), got: showNumber(b.Count)}
		}
	}
	return nil
}

func ones(words []uint64) (n int) {
	for _, w := range words {
		for ; w != 0; w &= w - 1 {
			n++
		}
	}
	return n
}
