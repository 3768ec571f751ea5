package retriever

import (
	"errors"
	"fmt"
	"time"
)

// Config is how a retriever is set up.
type Config struct {
	// SyncEvery is the longest time between a record's arrival and its fsync.
	SyncEvery time.Duration `json:"sync_every"`
	// DedupWindow is how many of the latest events' IDs are remembered at most to drop duplicates.
	DedupWindow int `json:"dedup_window"`
	// SessionTimeout of its ZooKeeper session.
	SessionTimeout time.Duration `json:"session_timeout"`
	// SealEvery is after how much of the log's own time (the records' CreateTime) rows become segments. Boundaries are a
	// function of the log alone, so both of a pair make the same segments, byte for byte.
	SealEvery time.Duration `json:"seal_every"`
	// SealIdle is after how long without a new record rows that are in no segment yet become one all the same, so that they
	// reach S3: the retriever appends a record without events to its partition, and the log's time goes on. 0: never.
	SealIdle time.Duration `json:"seal_idle"`
	// SnapshotEvery is how often sealed segments are uploaded and the partition's manifest is written.
	SnapshotEvery time.Duration `json:"snapshot_every"`
	// KeepLocal is how long a segment that S3 has stays on local disk too, by the log's time.
	KeepLocal time.Duration `json:"keep_local"`
	// MaxLocalBytes bounds local disk use: above it, what S3 has goes earlier, and then reading pauses.
	MaxLocalBytes int64 `json:"max_local_bytes"`
	// MaxMemoryBytes bounds the rows that are not in a segment yet; a seal is forced above it.
	MaxMemoryBytes int64 `json:"max_memory_bytes"`
	// Retention is how long S3 keeps a segment, by the log's time. Zero keeps everything.
	Retention time.Duration `json:"retention"`
	// Compress writes segments with zstd.
	Compress bool `json:"compress"`
}

// DefaultConfig suits one partition at a few thousand events a second, and runs of minutes.
func DefaultConfig() Config {
	return Config{
		SyncEvery: 200 * time.Millisecond, DedupWindow: 1 << 17, SessionTimeout: 4 * time.Second,
		SealEvery: 10 * time.Second, SnapshotEvery: 10 * time.Second, KeepLocal: 30 * time.Second,
		MaxLocalBytes: 4 << 30, MaxMemoryBytes: 256 << 20,
	}
}

// check says what of a configuration cannot work.
func (c *Config) check() error {
	var errs []error
	need := func(ok bool, name string, value any, expected string) {
		if !ok {
			errs = append(errs, fmt.Errorf("retriever configuration: %s is %v, expected %s", name, value, expected))
		}
	}
	need(c.SyncEvery > 0, "sync_every", c.SyncEvery, "more than 0")
	need(c.DedupWindow >= 1 && c.DedupWindow <= 1<<30, "dedup_window", c.DedupWindow, fmt.Sprintf("1 to %d", 1<<30))
	need(c.SessionTimeout > 0, "session_timeout", c.SessionTimeout, "more than 0")
	need(c.SealEvery >= time.Millisecond, "seal_every", c.SealEvery, "1ms or more")
	need(c.SealIdle == 0 || c.SealIdle >= c.SealEvery, "seal_idle", c.SealIdle, "0 (never), or seal_every or more")
	need(c.SnapshotEvery >= time.Millisecond, "snapshot_every", c.SnapshotEvery, "1ms or more")
	need(c.KeepLocal >= 0, "keep_local", c.KeepLocal, "0 or more")
	need(c.MaxLocalBytes > 0, "max_local_bytes", c.MaxLocalBytes, "more than 0")
	need(c.MaxMemoryBytes > 0, "max_memory_bytes", c.MaxMemoryBytes, "more than 0")
	need(c.Retention == 0 || c.Retention >= c.KeepLocal, "retention", c.Retention, "0 (keep everything), or keep_local or more")
	return errors.Join(errs...)
}
