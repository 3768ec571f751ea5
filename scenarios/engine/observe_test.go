package engine_test

import (
	"context"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// silent is a world whose roles do not say how they are.
type silent struct{ *sim.World }

func (silent) ShepherdHealth(context.Context, string) (shepherd.Health, error) {
	return shepherd.Health{}, port.ErrUnknown
}

// mute is a retriever that does not say how it is.
type mute struct{ retriever.RecordHolder }

func (mute) Status(context.Context) (retriever.Status, error) {
	return retriever.Status{}, port.ErrUnknown
}

func (w silent) Holder(node string) retriever.Holder {
	return mute{w.World.Holder(node).(retriever.RecordHolder)}
}

// TestWhatNobodySaidIsNotMeasured: a bound that nobody could be asked about was not kept, it is unknown.
func TestWhatNobodySaidIsNotMeasured(t *testing.T) {
	t.Parallel()
	p := planOf(t, `s.phase("calm", "2s")`)
	ev, err := engine.Run(context.Background(), silent{sim.New(sim.Options{Seed: 5})}, p, engine.Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(ev.Samples) == 0 {
		t.Fatal("nothing was sampled")
	}
	for _, s := range ev.Samples {
		for _, metric := range []string{evidence.InFlightShare, evidence.RetrieverMemory, evidence.RetrieverLocal, evidence.RetrieverLag} {
			if v, ok := s.Values[metric]; ok {
				t.Fatalf("at %v %s is %v, and nobody said so", s.At, metric, v)
			}
		}
	}
}
