package check

// effect is when an operation took effect: at one moment of which it is known that it was not before called, nor after returned.
type effect struct{ called, returned int64 }

// inTurn says whether operations can have taken effect one after the other in the given order: none had returned before one ahead of it was called.
// Else it names the first that had, and one ahead of it that was called later. What begins at the very moment at which another ends may have come
// first.
func inTurn(list []effect) (ok bool, ahead, before int) {
	last := 0 // of those ahead, the one that was called last
	for i := range list {
		if list[i].returned < list[last].called {
			return false, last, i
		}
		if list[i].called > list[last].called {
			last = i
		}
	}
	return true, 0, 0
}
