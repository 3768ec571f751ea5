package plan

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/system"
)

// Loads is the traffic as the load generator takes it: each goes on through all phases. An error says which text to replay cannot be
// read, and where the plan has it from.
func (p *Plan) Loads() ([]loadgen.Spec, error) {
	var length time.Duration
	for i := range p.Phases {
		length += time.Duration(p.Phases[i].Length)
	}
	specs := make([]loadgen.Spec, len(p.Traffic))
	for i := range p.Traffic {
		t := &p.Traffic[i]
		specs[i] = loadgen.Spec{
			Name: t.Name, Team: system.TeamKey(t.Team), Events: loadgen.Events(t.Events),
			BurstEvery: time.Duration(t.BurstEvery), BurstLength: time.Duration(t.BurstLength),
			Shape: loadgen.Shape(t.Shape), EventsPerSecond: t.EventsPerSecond, ToPerSecond: t.ToPerSecond, Length: length,
			EventsPerBatch: t.EventsPerBatch, EventBytes: t.EventBytes, Datasets: t.Datasets, Clients: t.Clients,
			Timeout: time.Duration(t.Timeout),
		}
		if t.Replay == "" {
			continue
		}
		replay, err := loadgen.ParseReplay(t.Name, []byte(t.Replay))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Pos, err)
		}
		specs[i].Replay = replay
	}
	return specs, nil
}
