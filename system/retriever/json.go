package retriever

import (
	"encoding/json"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// plain is Config without its methods. In wire, the durations stand before those of plain because they are less deep.
type plain Config

type wire struct {
	plain
	SyncEvery      duration.Text `json:"sync_every"`
	SessionTimeout duration.Text `json:"session_timeout"`
}

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{plain(c), duration.Text(c.SyncEvery), duration.Text(c.SessionTimeout)})
}

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (c *Config) UnmarshalJSON(data []byte) error {
	w := wire{plain(*c), duration.Text(c.SyncEvery), duration.Text(c.SessionTimeout)}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*c = Config(w.plain)
	c.SyncEvery, c.SessionTimeout = time.Duration(w.SyncEvery), time.Duration(w.SessionTimeout)
	return nil
}
