package group

import (
	"cmp"
	"slices"
)

// Candidate is a member that partitions are shared out to.
type Candidate struct {
	Member   string
	Instance string
	// Had is what the member was given last, Generation when that was (-1: never). Of two who say that they had the
	// same partition, the later is believed; two of one generation are both not.
	Had        []int32
	Generation int32
	// Holds is what it has not given up (cooperative protocols).
	Holds []int32
}

// Assignor shares the partitions 0 to n-1 of a topic out: it returns the partitions of each candidate, ascending, in
// the candidates' order. It is a pure function of the set of candidates: their order has no influence.
type Assignor func(n int32, candidates []Candidate) [][]int32

// assignorOf returns a configured assignor.
func assignorOf(name string) Assignor {
	switch name {
	case Range:
		return AssignRange
	case RoundRobin:
		return AssignRoundRobin
	case Sticky:
		return AssignSticky
	case CooperativeSticky:
		return AssignCooperativeSticky
	}
	return nil
}

// assign is how the member shares out when it leads.
func (c *Config) assign() Assignor {
	if c.InSeries {
		return assignInSeries
	}
	return assignorOf(c.Assignor)
}

// assignInSeries gives each candidate as many partitions as anybody may have to take until there are none left: of 8 for 5,
// two each for the first four.
func assignInSeries(n int32, candidates []Candidate) [][]int32 {
	out := make([][]int32, len(candidates))
	if len(candidates) == 0 {
		return out
	}
	ranks := order(candidates)
	each := (int(n) + len(ranks) - 1) / len(ranks)
	for p := range n {
		i := ranks[int(p)/each]
		out[i] = append(out[i], p)
	}
	return out
}

// order returns the candidates' indices in the order that Kafka's assignors use: static members by instance, which
// outlasts a restart, before dynamic ones by member ID.
func order(candidates []Candidate) []int {
	out := make([]int, len(candidates))
	for i := range out {
		out[i] = i
	}
	slices.SortFunc(out, func(a, b int) int {
		x, y := candidates[a], candidates[b]
		switch {
		case x.Instance != "" && y.Instance != "":
			return cmp.Or(cmp.Compare(x.Instance, y.Instance), cmp.Compare(x.Member, y.Member))
		case x.Instance != "":
			return -1
		case y.Instance != "":
			return 1
		}
		return cmp.Compare(x.Member, y.Member)
	})
	return out
}

// AssignRange gives each candidate one contiguous range; the first ones have one more where it does not come out even
// (RangeAssignor).
func AssignRange(n int32, candidates []Candidate) [][]int32 {
	out := make([][]int32, len(candidates))
	if len(candidates) == 0 {
		return out
	}
	each, more := int(n)/len(candidates), int(n)%len(candidates)
	next := int32(0)
	for rank, i := range order(candidates) {
		size := each
		if rank < more {
			size++
		}
		for range size {
			out[i] = append(out[i], next)
			next++
		}
	}
	return out
}

// AssignRoundRobin deals the partitions out one by one (RoundRobinAssignor).
func AssignRoundRobin(n int32, candidates []Candidate) [][]int32 {
	out := make([][]int32, len(candidates))
	if len(candidates) == 0 {
		return out
	}
	ranks := order(candidates)
	for p := range n {
		i := ranks[int(p)%len(ranks)]
		out[i] = append(out[i], p)
	}
	return out
}

// AssignSticky is as balanced as the others and among the balanced assignments one that moves the fewest partitions
// (what StickyAssignor promises for equal subscriptions).
func AssignSticky(n int32, candidates []Candidate) [][]int32 {
	out := make([][]int32, len(candidates))
	if len(candidates) == 0 {
		return out
	}
	ranks := order(candidates)
	had := lastAssigned(n, candidates)
	each, more := int(n)/len(candidates), int(n)%len(candidates)
	// Those who had the most keep the places with one more: else they would have to give up one that another then gets.
	fullest := slices.Clone(ranks)
	slices.SortStableFunc(fullest, func(a, b int) int { return cmp.Compare(len(had[b]), len(had[a])) })
	room := make([]int, len(candidates))
	for place, i := range fullest {
		room[i] = each
		if place < more {
			room[i]++
		}
	}
	taken := make([]bool, n)
	for _, i := range ranks {
		keep := had[i][:min(len(had[i]), room[i])]
		out[i] = slices.Clone(keep)
		for _, p := range keep {
			taken[p] = true
		}
	}
	at := 0
	for p := range n {
		if taken[p] {
			continue
		}
		for len(out[ranks[at]]) >= room[ranks[at]] {
			at = (at + 1) % len(ranks)
		}
		out[ranks[at]] = append(out[ranks[at]], p)
		at = (at + 1) % len(ranks)
	}
	for i := range out {
		slices.Sort(out[i])
	}
	return out
}

// AssignCooperativeSticky goes for AssignSticky's assignment in two steps (KIP-429): what one candidate is to have and
// another one still holds is given to nobody, until the holder has joined again without it.
func AssignCooperativeSticky(n int32, candidates []Candidate) [][]int32 {
	out := AssignSticky(n, candidates)
	holders := make([]int, n)
	for _, c := range candidates {
		for _, p := range distinct(n, c.Holds) {
			holders[p]++
		}
	}
	for i, c := range candidates {
		own := distinct(n, c.Holds)
		out[i] = slices.DeleteFunc(out[i], func(p int32) bool {
			others := holders[p]
			if _, ok := slices.BinarySearch(own, p); ok {
				others--
			}
			return others > 0
		})
	}
	return out
}

// lastAssigned returns which partitions each candidate is believed to have had, ascending.
func lastAssigned(n int32, candidates []Candidate) [][]int32 {
	const nobody = -1
	owner := make([]int, n)
	since := make([]int32, n)
	for p := range owner {
		owner[p] = nobody
		since[p] = noGeneration - 1
	}
	for i, c := range candidates {
		for _, p := range distinct(n, c.Had) {
			switch {
			case c.Generation > since[p]:
				owner[p], since[p] = i, c.Generation
			case c.Generation == since[p]:
				owner[p] = nobody
			}
		}
	}
	out := make([][]int32, len(candidates))
	for p, i := range owner {
		if i != nobody {
			out[i] = append(out[i], int32(p))
		}
	}
	return out
}

// distinct returns the valid ones of some partitions, ascending, each once.
func distinct(n int32, partitions []int32) []int32 {
	out := slices.DeleteFunc(slices.Clone(partitions), func(p int32) bool { return p < 0 || p >= n })
	slices.Sort(out)
	return slices.Compact(out)
}
