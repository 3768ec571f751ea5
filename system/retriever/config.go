package retriever

import "time"

// Config is how a retriever is set up.
type Config struct {
	// SyncEvery is the longest time between a record's arrival and its fsync.
	SyncEvery time.Duration `json:"sync_every"`
	// DedupWindow is how many of the latest events' IDs are remembered to drop duplicates.
	DedupWindow int `json:"dedup_window"`
	// SessionTimeout of its ZooKeeper session.
	SessionTimeout time.Duration `json:"session_timeout"`
}

// DefaultConfig suits one partition at a few thousand events a second.
func DefaultConfig() Config {
	return Config{SyncEvery: 200 * time.Millisecond, DedupWindow: 1 << 17, SessionTimeout: 4 * time.Second}
}
