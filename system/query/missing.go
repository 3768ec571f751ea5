package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/query/spec"
)

const hour = int64(time.Hour / time.Second)

// hours are the whole hours that a query's time range is in.
func hours(q *spec.Query) (from, to int64) {
	from, to = q.Start.Unix(), q.End.Unix()+hour-1
	return from - from%hour, to - to%hour
}

// cut limits a part of the data to a query's hours; false if they have nothing in common.
func cut(m Missing, q *spec.Query) (Missing, bool) {
	from, to := hours(q)
	m.From, m.To = max(m.From, from), min(m.To, to)
	return m, m.From < m.To
}

// tidyMissing sorts what is missing and joins what belongs together.
func tidyMissing(list []Missing) []Missing {
	slices.SortFunc(list, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Why, b.Why), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	var joined []Missing
	for _, m := range list {
		if n := len(joined); n > 0 && joined[n-1].Partition == m.Partition && joined[n-1].Why == m.Why && joined[n-1].To >= m.From {
			joined[n-1].To = max(joined[n-1].To, m.To)
			continue
		}
		joined = append(joined, m)
	}
	slices.SortFunc(joined, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), strings.Compare(a.Why, b.Why))
	})
	return joined
}

// describe is what is missing in short, for people.
func describe(list []Missing) string {
	const most = 3
	var texts []string
	for i, m := range list {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		texts = append(texts, fmt.Sprintf("partition %d from %s to %s: %s", m.Partition, clock(m.From), clock(m.To), m.Why))
	}
	return strings.Join(texts, "; ")
}

func clock(unix int64) string { return time.Unix(unix, 0).UTC().Format("01-02 15:04") }
