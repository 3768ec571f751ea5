package containers

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
)

// TestANodeThatEndedSaysWhy: what a node printed is in the error, and only one that was killed may be for the machine.
func TestANodeThatEndedSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		st      container.State
		said    string
		machine bool
		want    string
	}{
		"a defect":        {container.State{ExitCode: 70}, "no such flag", false, "node query1 exited with code 70 instead of getting ready; its last output:\nno such flag"},
		"without a word":  {container.State{ExitCode: 1}, "", false, "node query1 exited with code 1 instead of getting ready; it printed nothing"},
		"out of memory":   {container.State{ExitCode: 1, OOMKilled: true}, "", true, "killed (exit code 1), probably for want of memory"},
		"killed, somehow": {container.State{ExitCode: 137}, "starting", true, "killed (exit code 137), probably for want of memory"},
	} {
		err := fmt.Errorf("start the topology: %w", endedBy("query1", c.st, c.said))
		if e, ok := errors.AsType[*NotReadyError](err); !ok || e.Machine != c.machine || !strings.Contains(err.Error(), c.want) || Unavailable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
