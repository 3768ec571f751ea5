package duration_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/duration"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"60s": time.Minute, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "0s": 0,
	} {
		if got, err := duration.Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "60", "60 s", "60 sec", "-1s", "-0s", "s", "1d", "1e999h"} {
		if got, err := duration.Parse(in); err == nil {
			t.Errorf("Parse(%q) = %v; want an error", in, got)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m",
		time.Hour + time.Second: "1h0m1s", 20 * time.Hour: "20h", 1500 * time.Millisecond: "1.5s",
	} {
		if got := duration.Format(in); got != want {
			t.Errorf("Format(%d) = %q; want %q", in, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "d"))
		data, err := json.Marshal(duration.Text(d))
		if err != nil {
			t.Fatal(err)
		}
		var back duration.Text
		if err := json.Unmarshal(data, &back); err != nil || time.Duration(back) != d {
			t.Fatalf("%d became %s became %d (%v)", d, data, back, err)
		}
	})
}

func TestNumbersAreRefused(t *testing.T) {
	t.Parallel()
	var d duration.Text
	if err := json.Unmarshal([]byte("5"), &d); err == nil {
		t.Fatal("5 was read as a duration: of which unit?")
	}
}
