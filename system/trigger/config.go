// Package trigger is the alerting worker: one of two leads by a ZooKeeper lock with a fencing epoch, evaluates each
// trigger and burn alert once per window over data that are fresh enough, and sends what fires to webhooks.
package trigger

import (
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// Config says how trigger workers are set up.
type Config struct {
	// SessionTimeout is of the lock's ZooKeeper session.
	SessionTimeout time.Duration `json:"session_timeout"`
	// RefreshEvery is how often definitions are read again.
	RefreshEvery time.Duration `json:"refresh_every"`
	// Settle is how long after a window's end its evaluation begins; Patience is how long it then waits at most for data
	// that are fresh enough before the window is recorded as stale.
	Settle   time.Duration `json:"settle"`
	Patience time.Duration `json:"patience"`
	// DeliverEvery is how often an alert that nobody has taken is sent again.
	DeliverEvery time.Duration `json:"deliver_every"`
	// Parallel is how many evaluations run at once.
	Parallel int `json:"parallel"`
}

// DefaultConfig is what a small installation begins with.
func DefaultConfig() Config {
	return Config{SessionTimeout: 6 * time.Second, RefreshEvery: 10 * time.Second, Settle: 5 * time.Second, Patience: 20 * time.Second, DeliverEvery: 5 * time.Second, Parallel: 8}
}

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) { return duration.MarshalStruct(c) }

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (c *Config) UnmarshalJSON(data []byte) error { return duration.UnmarshalStruct(data, c) }
