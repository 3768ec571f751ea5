package query

import "time"

// Config is how a query node is set up.
type Config struct {
	// Deadline of a query: what is not there by then is named as missing.
	Deadline time.Duration `json:"deadline"`
	// HedgeAfter is how long one retriever of a pair may take before the other is asked too.
	HedgeAfter time.Duration `json:"hedge_after"`
	// Workers bounds how many short-lived workers read S3 at once on this node; others wait.
	Workers int `json:"workers"`
	// ColdStart is how long a worker takes to start. One that ended a moment ago is warm and starts at once.
	ColdStart time.Duration `json:"cold_start"`
	// KeepWarm is how long a worker stays warm.
	KeepWarm time.Duration `json:"keep_warm"`
	// Reissue is the share of a query's slowest segment reads that are issued a second time.
	Reissue float64 `json:"reissue"`
	// MaxStored bounds the queries and results that are kept for clients that poll.
	MaxStored int `json:"max_stored"`
}

// DefaultConfig suits interactive queries.
func DefaultConfig() Config {
	return Config{Deadline: 10 * time.Second, HedgeAfter: 500 * time.Millisecond, Workers: 32, ColdStart: 150 * time.Millisecond, KeepWarm: 30 * time.Second, Reissue: 0.1, MaxStored: 1000}
}
