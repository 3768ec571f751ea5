package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/containers/docker"
)

// TestHintsPointToWhatHelps: a role that ends by itself is no matter for the doctor; what the machine lacks is.
func TestHintsPointToWhatHelps(t *testing.T) {
	t.Parallel()
	ended := &containers.NotReadyError{Node: "query1", Why: "exited with code 70 instead of getting ready"}
	slow := &containers.NotReadyError{Node: "mysql", Why: "did not become ready", Machine: true}
	for name, c := range map[string]struct {
		err    error
		says   string
		doctor bool
	}{
		"a role ended":     {fmt.Errorf("%w: start the topology: %w", engine.ErrWorld, errors.Join(ended)), "query1 was started and ended by itself: what it printed last says why", false},
		"too slow":         {fmt.Errorf("%w: %w", engine.ErrWorld, slow), "Look at what mysql printed", true},
		"no engine":        {fmt.Errorf("%w: %w", engine.ErrWorld, &docker.Error{What: "reach the Docker engine"}), "lacks for the containers world", true},
		"both":             {errors.Join(ended, &docker.Error{What: "make a container"}), "lacks for the containers world", true},
		"something unsaid": {engine.ErrWorld, "lacks for the containers world", true},
	} {
		for kind, err := range map[string]error{"run": (&cli{}).worldError(runFlags{world: worldContainers}, fmt.Errorf("%w: %w", engine.ErrWorld, c.err)), "up": upError(c.err)} {
			var f *failure
			if !errors.As(err, &f) || f.code != exitWorld || !strings.Contains(f.hint, c.says) || strings.Contains(f.hint, "ratel doctor") != c.doctor {
				t.Errorf("%s, %s: %+v", name, kind, f)
			}
		}
	}
}
