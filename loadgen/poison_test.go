package loadgen

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
)

// TestPoison: what is called undecodable is, what is called hostile can be decoded, and nothing of either looks like what a load has sent.
func TestPoison(t *testing.T) {
	t.Parallel()
	var decoder event.Decoder
	var recognise Recogniser
	kinds := len(system.Poisons()) - 1
	for seed := range uint64(200) {
		for n := range kinds {
			value, kind := Poison(system.PoisonMixed, n, rand.New(rand.NewPCG(seed, uint64(n))))
			if kind != system.Poisons()[n] {
				t.Fatalf("the %dth is %s", n, kind)
			}
			_, err := decoder.Decode(value)
			damaged := errors.Is(err, event.ErrDamaged) || errors.Is(err, event.ErrVersion)
			if kind == system.PoisonVersion && !errors.Is(err, event.ErrVersion) || damaged == (kind == system.PoisonHostile) {
				t.Errorf("%s, seed %d: %v", kind, seed, err)
			}
			_ = recognise.Chunk(value, func(producer uint32, seq uint64, state State) {
				if state != Foreign {
					t.Errorf("%s, seed %d: taken for %d/%d", kind, seed, producer, seq)
				}
			})
		}
	}
}
