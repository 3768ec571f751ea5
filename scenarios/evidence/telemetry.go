package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unsafe"
)

// Telemetry is one event that a role said about itself, as the observer took it.
type Telemetry struct {
	At         time.Duration `json:"at"`   // when the observer had taken it; negative before the load began
	Time       time.Duration `json:"time"` // when it happened, by the role's clock
	Dataset    string        `json:"dataset"`
	SampleRate int           `json:"samplerate,omitempty"`
	// Data are the event's fields. docs/telemetry.md lists them.
	Data json.RawMessage `json:"data"`
}

// UnmarshalJSON refuses a line whose data are not an object: nothing that an observer takes is without one.
func (t *Telemetry) UnmarshalJSON(text []byte) error {
	type plain Telemetry
	if err := json.Unmarshal(text, (*plain)(t)); err != nil {
		return err
	}
	if len(t.Data) == 0 || t.Data[0] != '{' {
		return fmt.Errorf("data is %.20q, want an object", t.Data)
	}
	return nil
}

// MaxTelemetry bounds what is kept of telemetry, in bytes of data. What comes beyond is a gap.
const MaxTelemetry = 256 << 20

func sizeOfTelemetry(t *Telemetry) int64 {
	return int64(unsafe.Sizeof(*t)) + int64(len(t.Dataset)+len(t.Data))
}

func sameTelemetry(x, y *Telemetry) bool {
	return x.At == y.At && x.Time == y.Time && x.Dataset == y.Dataset && x.SampleRate == y.SampleRate && bytes.Equal(x.Data, y.Data)
}
