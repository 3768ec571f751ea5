package check

import (
	"sort"

	"github.com/anishathalye/porcupine"
)

// turn is an operation on an object of which only one order of operations is possible. It took effect at one moment, of which it is
// known that it was not before called, nor after returned.
type turn struct {
	input            any
	called, returned int64
}

// inTurn says whether operations can have taken effect one after the other in the given order: the object allows it, and none had
// returned before one ahead of it was called. Else it names one that cannot have, and one ahead of it that is in its way. What begins
// at the very moment at which another ends may have come first.
//
// Porcupine judges what the object allows. It is given the order, and so nothing to search: a search through all orders of operations
// that overlap takes twice as long for each that does, if there is none.
func inTurn(model porcupine.Model, list []turn) (ok bool, ahead, before int) {
	history := make([]porcupine.Operation, len(list))
	for i := range list {
		history[i] = porcupine.Operation{Input: list[i].input, Call: int64(2 * i), Return: int64(2*i + 1)}
	}
	if !porcupine.CheckOperations(model, history) {
		n := sort.Search(len(list)-1, func(n int) bool { return !porcupine.CheckOperations(model, history[:n+1]) })
		return false, max(n-1, 0), n
	}
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
