package system

import (
	"encoding/json"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
)

// plainKafka is Kafka without its methods. In wireKafka, the durations stand before those of plainKafka because they are
// less deep.
type plainKafka Kafka

type wireKafka struct {
	plainKafka
	ReplicaLagTimeMax duration.Text `json:"replica_lag_time_max"`
	SessionTimeout    duration.Text `json:"session_timeout"`
}

// MarshalJSON writes durations as strings.
func (k Kafka) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireKafka{plainKafka(k), duration.Text(k.ReplicaLagTimeMax), duration.Text(k.SessionTimeout)})
}

// UnmarshalJSON reads what MarshalJSON writes; what is not said stays as it was.
func (k *Kafka) UnmarshalJSON(data []byte) error {
	w := wireKafka{plainKafka(*k), duration.Text(k.ReplicaLagTimeMax), duration.Text(k.SessionTimeout)}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*k = Kafka(w.plainKafka)
	k.ReplicaLagTimeMax, k.SessionTimeout = time.Duration(w.ReplicaLagTimeMax), time.Duration(w.SessionTimeout)
	return nil
}
