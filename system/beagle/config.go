package beagle

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// Config says how beagle workers are set up.
type Config struct {
	// Assignor is how the group's partitions are assigned: range, roundrobin, sticky or cooperative-sticky.
	Assignor string `json:"assignor"`
	// Static gives each worker its name as group.instance.id (KIP-345), so that a restart within SessionTimeout moves nothing.
	Static           bool          `json:"static"`
	SessionTimeout   time.Duration `json:"session_timeout"`
	HeartbeatEvery   time.Duration `json:"heartbeat_every"`
	RebalanceTimeout time.Duration `json:"rebalance_timeout"`
	// CommitEvery is how long counts are gathered before they are committed, and how often progress is marked where there
	// is nothing to count.
	CommitEvery time.Duration `json:"commit_every"`
	// CommitEvents bounds what is gathered.
	CommitEvents int `json:"commit_events"`
	// RefreshEvery is how long a dataset's SLOs are taken from the cache; MissFor the same for datasets that are not there.
	RefreshEvery time.Duration `json:"refresh_every"`
	MissFor      time.Duration `json:"miss_for"`
	// CacheSize is how many datasets the cache holds.
	CacheSize int `json:"cache_size"`
	// DedupRecords is how many of a partition's latest records are remembered to find events that the producer's retries
	// appended twice; see window.
	DedupRecords int `json:"dedup_records"`
	// FetchWait is how long a fetch that finds nothing waits at the broker (fetch.max.wait.ms). A worker has one connection to
	// each broker, which answers one fetch after the other, so the others to that broker wait, too. 0 means 20ms.
	FetchWait time.Duration `json:"fetch_wait,omitempty"`
	// FetchBytes bounds what a fetch brings (max.partition.fetch.bytes). 0 means 1 MiB.
	FetchBytes int `json:"fetch_bytes,omitempty"`
	// MissingProgress is what is done with a partition that has no row of progress: earliest, which is also what the empty
	// string means, latest or wait.
	MissingProgress string `json:"missing_progress,omitempty"`
}

// What is done with a partition that has no row of progress.
const (
	// MissingEarliest counts it from the log's start.
	MissingEarliest = "earliest"
	// MissingLatest counts it from where the log ends when it is taken over; what is there already is never counted.
	MissingLatest = "latest"
	// MissingWait does not count it before somebody has made the row. Where rows are always provisioned, one that is
	// missing was lost, and to count from the log's start would count everything twice.
	MissingWait = "wait"
)

// MissingProgress lists what may be done with a partition that has no row of progress.
func MissingProgress() []string { return []string{MissingEarliest, MissingLatest, MissingWait} }

// DefaultConfig is what a small cluster begins with.
func DefaultConfig() Config {
	return Config{
		Assignor: "cooperative-sticky", SessionTimeout: 6 * time.Second, HeartbeatEvery: time.Second, RebalanceTimeout: 15 * time.Second,
		CommitEvery: time.Second, CommitEvents: 20_000, RefreshEvery: 10 * time.Second, MissFor: 10 * time.Second, CacheSize: 10_000,
		DedupRecords: 1 << 15,
	}
}

// fetchWait is FetchWait or what it is by default.
func (c *Config) fetchWait() time.Duration {
	if c.FetchWait == 0 {
		return defaultFetchWait
	}
	return c.FetchWait
}

// check says what of a configuration cannot work. What concerns the group is checked by package group.
func (c *Config) check() error {
	var errs []error
	need := func(ok bool, name string, value any, expected string) {
		if !ok {
			errs = append(errs, fmt.Errorf("beagle configuration: %s is %v, expected %s", name, value, expected))
		}
	}
	need(c.RebalanceTimeout > 0, "rebalance_timeout", c.RebalanceTimeout, "more than 0")
	need(c.CommitEvery >= time.Millisecond, "commit_every", c.CommitEvery, "1ms or more")
	need(c.CommitEvents >= 1, "commit_events", c.CommitEvents, "1 or more")
	need(c.RefreshEvery > 0, "refresh_every", c.RefreshEvery, "more than 0")
	need(c.MissFor > 0, "miss_for", c.MissFor, "more than 0")
	need(c.CacheSize >= 1, "cache_size", c.CacheSize, "1 or more")
	need(c.DedupRecords >= 1 && c.DedupRecords <= 1<<26, "dedup_records", c.DedupRecords, fmt.Sprintf("1 to %d", 1<<26))
	need(c.FetchWait >= 0 && c.FetchWait <= maxFetchWait, "fetch_wait", c.FetchWait, fmt.Sprintf("0 to %v", maxFetchWait))
	need(c.FetchBytes >= 0, "fetch_bytes", c.FetchBytes, "0 or more")
	need(c.MissingProgress == "" || slices.Contains(MissingProgress(), c.MissingProgress), "missing_progress", c.MissingProgress, "earliest, latest or wait")
	return errors.Join(errs...)
}

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) { return duration.MarshalStruct(c) }

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (c *Config) UnmarshalJSON(data []byte) error { return duration.UnmarshalStruct(data, c) }
