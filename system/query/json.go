package query

import "github.com/ratel-sim/ratel/system/duration"

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) { return duration.MarshalStruct(c) }

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (c *Config) UnmarshalJSON(data []byte) error { return duration.UnmarshalStruct(data, c) }
