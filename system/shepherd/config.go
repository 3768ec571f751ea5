package shepherd

import "time"

// Config is how a shepherd is set up.
type Config struct {
	// MaxInFlightBytes and MaxInFlightEvents bound what is accepted for decoding and waiting for Kafka; above either, events are answered Throttled.
	MaxInFlightBytes  int64 `json:"max_in_flight_bytes"`
	MaxInFlightEvents int64 `json:"max_in_flight_events"`
	// ChunkEvents is how many events of a batch travel in one Kafka record, on one partition. 64 makes one record of the 50 events
	// that libhoney's clients send at once, and eight of the 512 that OpenTelemetry's SDKs do.
	ChunkEvents int `json:"chunk_events"`
	// AckTimeout is how long a request waits for Kafka before its events are answered Unknown.
	AckTimeout time.Duration `json:"ack_timeout"`
	// SickAfter is how long a partition's oldest unacknowledged record may wait before new events avoid the partition.
	SickAfter time.Duration `json:"sick_after"`
	// SickFor is how long a partition that failed is avoided before it is tried again, and then for how long everything must
	// be acknowledged within SickAfter before it counts as well.
	SickFor time.Duration `json:"sick_for"`
	// TeamShare is the largest share of the in-flight bounds that one team may hold, above 0 and up to 1, while nobody else
	// holds anything. Beside others it is TeamShare/(1-TeamShare) of what is free, so that who holds the most is turned away
	// first and some room is always left. 1 means one bound for everybody.
	TeamShare float64 `json:"team_share"`
	// Spread is how many partitions a dataset that is created on first use gets.
	Spread int `json:"spread"`
	// CacheFor is how long a team or dataset is taken from the cache before the catalog is asked again; MissFor the same for
	// what is not there. While the catalog is away, what is cached is used for StaleFor.
	CacheFor time.Duration `json:"cache_for"`
	MissFor  time.Duration `json:"miss_for"`
	StaleFor time.Duration `json:"stale_for"`
	// CacheSize bounds the entries of each cache.
	CacheSize int `json:"cache_size"`
	// MaxBodyBytes bounds a request's body, both as it is sent and decompressed. 0 means 5,000,000, which is what libhoney
	// and OpenTelemetry's proxies keep to.
	MaxBodyBytes int64 `json:"max_body_bytes,omitempty"`
	// Linger is how long records are gathered into one request to a broker (linger.ms), which every answer waits for and which
	// saves the shepherd, and Kafka, much of what a request costs. Less than SickAfter. 0 means the 2 ms of port.DefaultProducerConfig;
	// Kafka's own producer has 5 ms (KIP-1030).
	Linger time.Duration `json:"linger,omitempty"`
}

// maxBody is the bound of a request's body.
func (c *Config) maxBody() int64 {
	if c.MaxBodyBytes == 0 {
		return defaultMaxBody
	}
	return c.MaxBodyBytes
}

// DefaultConfig suits a worker with 256 MiB.
func DefaultConfig() Config {
	return Config{MaxInFlightBytes: 64 << 20, MaxInFlightEvents: 200_000, ChunkEvents: 64, AckTimeout: 12 * time.Second, SickAfter: 500 * time.Millisecond, SickFor: time.Second,
		TeamShare: 0.5, Spread: 4, CacheFor: 5 * time.Second, MissFor: 2 * time.Second, StaleFor: time.Hour, CacheSize: 10_000}
}
