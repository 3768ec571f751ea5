package process

import (
	"os"
	"runtime/debug"

	"github.com/ratel-sim/ratel/system"
)

// Bounds of a shepherd's memory. Little of what it allocates lives longer than a request, so a garbage collector that waits until
// the heap is five times what lives runs a quarter as often, and the memory stays below a bound all the same: the nearer it comes,
// the more often it is collected.
const (
	shepherdGCPercent = 400
	shepherdBase      = 128 << 20 // beside what is in flight
)

// SetMemory sets up the garbage collector of a process that is one role. What the environment says, by GOGC or GOMEMLIMIT, stays.
func SetMemory(c Config) {
	if c.Role != system.RoleShepherd {
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(shepherdGCPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal(c))
	}
}

// memoryGoal is the memory, in bytes, that a shepherd's garbage collector keeps below: what may be in flight is there decoded and
// encoded, and as it was sent.
func memoryGoal(c Config) int64 { return shepherdBase + 4*c.Shepherd.MaxInFlightBytes }
