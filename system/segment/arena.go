package segment

import "strings"

// arena keeps copies of strings in few allocations. What is in it never moves.
type arena struct {
	b    strings.Builder
	next int // size of the allocation after this one
}

const (
	arenaFirst = 256
	arenaMost  = 64 << 10
)

func (a *arena) keep(s string) string {
	if len(s) == 0 {
		return ""
	}
	if a.b.Cap()-a.b.Len() < len(s) {
		a.next = min(max(arenaFirst, 2*a.next), arenaMost)
		a.b = strings.Builder{}
		a.b.Grow(max(a.next, len(s)))
	}
	from := a.b.Len()
	a.b.WriteString(s)
	return a.b.String()[from:]
}
