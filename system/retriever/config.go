package retriever

import "time"

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
