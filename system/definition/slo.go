package definition

import "encoding/json"

// ParseSLO reads and checks an SLO. That its SLI exists is for whoever knows the dataset. An error is an *[Error].
func ParseSLO(body []byte, _ Options) (SLO, error) {
	var p problems
	o := read(&p, body, "name", "description", "sli", "time_period_days", "target_per_million", "tags", "dataset_slugs")
	s := SLO{Name: o.name("name", MaxName), Description: o.text("description", MaxDescription), Tags: o.tags()}
	if sli, ok := o.object("sli", "alias"); ok {
		s.SLI.Alias = sli.name("alias", MaxAlias)
	} else {
		o.need("sli", "an SLI is needed: {\"alias\": the name of a derived column}")
	}
	o.need("time_period_days", "the days over which the budget holds are needed")
	s.TimePeriodDays = int(o.whole("time_period_days", 0, 1, MaxPeriodDays))
	o.need("target_per_million", "a target is needed: 999000 is 99.9 %")
	// Without any budget every bad event would exhaust it, and its rate of burning would be infinite.
	s.TargetPerMillion = int(o.whole("target_per_million", 0, 1, Million-1))
	for i, raw := range o.list("dataset_slugs", 10) {
		var slug string
		if json.Unmarshal(raw, &slug) != nil || slug == "" || len(slug) > maxNameBytes {
			p.add("dataset_slugs", CodeType, "element %d is not the slug of a dataset", i)
			continue
		}
		s.DatasetSlugs = append(s.DatasetSlugs, slug)
	}
	return checked(s, p)
}

// maxMinutes is the longest time that an SLO can have, in minutes.
const maxMinutes = MaxPeriodDays * 24 * 60

// ParseBurnAlert reads and checks a burn alert. That its SLO exists is for whoever knows the dataset. An error is an
// *[Error].
func ParseBurnAlert(body []byte, opts Options) (BurnAlert, error) {
	var p problems
	const minutes, window, decrease = "exhaustion_minutes", "budget_rate_window_minutes", "budget_rate_decrease_threshold_per_million"
	o := read(&p, body, "description", "alert_type", "slo", minutes, window, decrease, "recipients")
	b := BurnAlert{
		Description: o.text("description", MaxDescription), Recipients: o.recipients(),
		AlertType: BurnAlertType(o.choice("alert_type", string(ExhaustionTime), string(ExhaustionTime), string(BudgetRate))),
	}
	if slo, ok := o.object("slo", "id"); ok {
		b.SLO.ID = slo.name("id", 20)
		if b.SLO.ID != "" && number(b.SLO.ID) == 0 {
			p.add("slo.id", CodeInvalid, "%q is no ID: expected a number as a string", short(b.SLO.ID))
		}
	} else {
		o.need("slo", "an SLO is needed: {\"id\": …}")
	}
	misplaced := func(name string) {
		if o.has(name) {
			p.add(name, CodeInvalid, "it does not belong to an alert of type %s", b.AlertType)
		}
	}
	switch b.AlertType {
	case ExhaustionTime:
		o.need(minutes, "the minutes until the budget is exhausted are needed; 0 is when it is")
		if o.has(minutes) {
			m := int(o.whole(minutes, 0, 0, maxMinutes))
			b.ExhaustionMinutes = &m
		}
		misplaced(window)
		misplaced(decrease)
	case BudgetRate:
		o.need(window, "the window in minutes is needed")
		b.BudgetRateWindowMinutes = int(o.whole(window, 0, opts.minFrequency(), maxMinutes))
		o.need(decrease, "the decrease of the budget in parts of a million is needed: 50000 is 5 %")
		b.BudgetRateDecreaseThresholdPerMillion = int(o.whole(decrease, 0, 1, Million))
		misplaced(minutes)
	}
	return checked(b, p)
}
