package plan

import "fmt"

// alertingChecks finds checks of counting and alerting that have nothing to judge.
func (p *Plan) alertingChecks(f *found) {
	for _, c := range p.Checks {
		lacks := func(what, hint string) {
			f.list = append(f.list, Problem{Pos: c.Pos, What: fmt.Sprintf("check %q needs %s, and there is none", c.Name, what), Hint: hint})
		}
		switch {
		case c.Name == CheckSLOCounts && len(p.Objectives) == 0:
			lacks("an objective", `write s.objective("checkout", traffic = "…", sli = "LT($duration_ms, 100)")`)
		case c.Name == CheckProgress && p.System.Beagles == 0:
			lacks("somebody who counts", "write s.system(beagles = 2)")
		case c.Name == CheckAlerts && len(p.Alerts) == 0:
			lacks("an alert", `write s.alert("errors", traffic = "…")`)
		case c.Name == CheckFencing && p.System.Triggers == 0:
			lacks("somebody who leads", "write s.system(triggers = 2)")
		case c.Name == CheckTelemetry && !p.System.Observed():
			lacks("telemetry that somebody takes", "write s.system(telemetry = telemetry())")
		}
	}
}
