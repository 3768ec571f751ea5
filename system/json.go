package system

import "github.com/ratel-sim/ratel/system/duration"

// MarshalJSON writes durations as strings.
func (k Kafka) MarshalJSON() ([]byte, error) { return duration.MarshalStruct(k) }

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (k *Kafka) UnmarshalJSON(data []byte) error { return duration.UnmarshalStruct(data, k) }
