package shepherd

import (
	"encoding/json"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// plain is Config without its methods. In wire, the durations stand before those of plain because they are less deep.
type plain Config

type wire struct {
	plain
	AckTimeout duration.Text `json:"ack_timeout"`
	SickAfter  duration.Text `json:"sick_after"`
	SickFor    duration.Text `json:"sick_for"`
}

// MarshalJSON writes durations as strings.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{plain(c), duration.Text(c.AckTimeout), duration.Text(c.SickAfter), duration.Text(c.SickFor)})
}

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (c *Config) UnmarshalJSON(data []byte) error {
	w := wire{plain(*c), duration.Text(c.AckTimeout), duration.Text(c.SickAfter), duration.Text(c.SickFor)}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*c = Config(w.plain)
	c.AckTimeout, c.SickAfter, c.SickFor = time.Duration(w.AckTimeout), time.Duration(w.SickAfter), time.Duration(w.SickFor)
	return nil
}
