package reports

import (
	"strings"

	"github.com/ratel-sim/ratel/scenarios/check"
)

// machineNote says in which phases a run that did not pass asked more of the machine than it has; "" if in none. It changes no
// verdict: who reads it decides whether to run again elsewhere before looking for a fault in the pipeline.
func machineNote(j *check.Judgement) string {
	if j.Verdict == check.Pass {
		return ""
	}
	var phases []string
	for _, p := range j.Phases {
		if p.Machine != nil && p.Machine.TooMuch != "" {
			phases = append(phases, "in "+p.Name+" "+p.Machine.TooMuch)
		}
	}
	if len(phases) == 0 {
		return ""
	}
	return strings.Join(phases, "; ") + ". What came too late may be the machine's doing: run it again with less beside it, fewer nodes, a lower rate or a larger machine."
}
