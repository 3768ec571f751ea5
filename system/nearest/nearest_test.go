package nearest_test

import (
	"testing"

	"github.com/ratel-sim/ratel/system/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"kill", "pause", "isolate", "leader_of", "events_per_second", "broker-loss"}
	for given, want := range map[string]string{
		"kil": "kill", "klil": "kill", "puase": "pause", "leader-of": "leader_of", "leaderof": "leader_of",
		"event_per_second": "events_per_second", "broker_loss": "broker-loss", "Isolate": "isolate", "kill": "kill",
	} {
		if got, ok := nearest.Name(given, known); !ok || got != want {
			t.Errorf("Name(%q) = %q, %v; want %q", given, got, ok, want)
		}
	}
	for _, given := range []string{"", "x", "completely_different", "resume"} {
		if got, ok := nearest.Name(given, known); ok {
			t.Errorf("Name(%q) = %q; want none", given, got)
		}
	}
}
