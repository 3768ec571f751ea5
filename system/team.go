package system

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/ratel-sim/ratel/system/port"
)

// TeamKey is the API key of a topology's team: 32 hex digits that follow from its name, as a classic Honeycomb key looks.
func TeamKey(name string) string {
	sum := sha256.Sum256([]byte("ratel team " + name))
	return hex.EncodeToString(sum[:16])
}

// NewTeam is a topology's team as the catalog creates it.
func (t Team) NewTeam() port.NewTeam {
	return port.NewTeam{
		Name: t.Name, Key: TeamKey(t.Name),
		Limits:        port.Limits{EventsPerSecond: t.EventsPerSecond, Burst: t.Burst},
		DatasetLimits: port.Limits{EventsPerSecond: t.DatasetEventsPerSecond},
	}
}
