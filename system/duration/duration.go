// Package duration reads and writes durations as people do in scripts, plans and configurations: "60s", "5m", "1h30m".
package duration

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Text is a duration that is a string in JSON, such as "1m30s".
type Text time.Duration

// Parse reads a duration that is not negative: numbers with units (ns, us, ms, s, m, h), such as "500ms" or "1h30m".
// The error says what was read; Forms says what to write.
func Parse(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || s == "0" || s == "+0" {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	if d < 0 || strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("%q is a negative duration", s)
	}
	return d, nil
}

// Forms is what to tell somebody who wrote a duration wrongly.
const Forms = `write "60s", "5m" or "1h30m"`

// Format writes a duration without units that are zero: "1m", not "1m0s". Parse reads it back exactly.
func Format(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// String implements fmt.Stringer.
func (t Text) String() string { return Format(time.Duration(t)) }

// MarshalJSON writes a string.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads a string; a bare number has no unit and is refused.
func (t *Text) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%s is not a duration: %s", data, Forms)
	}
	d, err := Parse(s)
	if err != nil {
		return fmt.Errorf("%w: %s", err, Forms)
	}
	*t = Text(d)
	return nil
}
