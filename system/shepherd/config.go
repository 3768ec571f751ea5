package shepherd

import "time"

// Config is how a shepherd is set up.
type Config struct {
	// MaxInFlightBytes and MaxInFlightEvents bound what is accepted for decoding and waiting for Kafka; above either, events are answered Throttled.
	MaxInFlightBytes  int64 `json:"max_in_flight_bytes"`
	MaxInFlightEvents int64 `json:"max_in_flight_events"`
	// ChunkEvents is how many events of a batch travel in one Kafka record, on one partition.
	ChunkEvents int `json:"chunk_events"`
	// AckTimeout is how long a request waits for Kafka before its events are answered Unknown.
	AckTimeout time.Duration `json:"ack_timeout"`
	// SickAfter is how long a partition's oldest unacknowledged record may wait before new events avoid the partition.
	SickAfter time.Duration `json:"sick_after"`
	// SickFor is how long a partition that failed is avoided before it is tried again.
	SickFor time.Duration `json:"sick_for"`
}

// DefaultConfig suits a worker with 256 MiB.
func DefaultConfig() Config {
	return Config{MaxInFlightBytes: 64 << 20, MaxInFlightEvents: 200_000, ChunkEvents: 10, AckTimeout: 12 * time.Second, SickAfter: 500 * time.Millisecond, SickFor: time.Second}
}
