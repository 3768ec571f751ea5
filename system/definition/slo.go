package definition

import "github.com/ratel-sim/ratel/system/document"

// ParseSLO reads and checks an SLO. That its SLI exists is for whoever knows the dataset. An error is a *[document.Error].
func ParseSLO(body []byte, _ Options) (SLO, error) {
	var p document.Problems
	o := read(&p, body, "name", "description", "sli", "time_period_days", "target_per_million", "tags", "dataset_slugs")
	s := SLO{Name: name(o.At("name"), MaxName), Description: text(o.At("description"), MaxDescription), Tags: tags(o.At("tags"))}
	if sli, ok := o.At("sli").Object("alias"); ok {
		s.SLI.Alias = name(sli.At("alias"), MaxAlias)
	} else {
		o.At("sli").Need("an SLI is needed: {\"alias\": the name of a derived column}")
	}
	o.At("time_period_days").Need("the days over which the budget holds are needed")
	s.TimePeriodDays = int(whole(o.At("time_period_days"), 0, 1, MaxPeriodDays))
	o.At("target_per_million").Need("a target is needed: 999000 is 99.9 %")
	// Without any budget every bad event would exhaust it, and its rate of burning would be infinite.
	s.TargetPerMillion = int(whole(o.At("target_per_million"), 0, 1, Million-1))
	for _, item := range o.At("dataset_slugs").Elements(10) {
		slug, ok := item.Text()
		if ok && (slug == "" || len(slug) > maxNameBytes) {
			item.Wrong(document.CodeInvalid, "it is not the slug of a dataset")
		}
		s.DatasetSlugs = append(s.DatasetSlugs, slug)
	}
	return checked(s, &p)
}

// maxMinutes is the longest time that an SLO can have, in minutes.
const maxMinutes = MaxPeriodDays * 24 * 60

// ParseBurnAlert reads and checks a burn alert. That its SLO exists is for whoever knows the dataset. An error is a
// *[document.Error].
func ParseBurnAlert(body []byte, opts Options) (BurnAlert, error) {
	var p document.Problems
	const minutes, window, decrease = "exhaustion_minutes", "budget_rate_window_minutes", "budget_rate_decrease_threshold_per_million"
	o := read(&p, body, "description", "alert_type", "slo", minutes, window, decrease, "recipients")
	b := BurnAlert{
		Description: text(o.At("description"), MaxDescription), Recipients: recipients(o.At("recipients")),
		AlertType: BurnAlertType(choice(o.At("alert_type"), string(ExhaustionTime), string(ExhaustionTime), string(BudgetRate))),
	}
	if slo, ok := o.At("slo").Object("id"); ok {
		b.SLO.ID = name(slo.At("id"), 20)
		if b.SLO.ID != "" && number(b.SLO.ID) == 0 {
			slo.At("id").Wrong(document.CodeInvalid, "%q is no ID: expected a number as a string", document.Short(b.SLO.ID))
		}
	} else {
		o.At("slo").Need("an SLO is needed: {\"id\": …}")
	}
	misplaced := func(name string) {
		if o.At(name).There() {
			o.At(name).Wrong(document.CodeInvalid, "it does not belong to an alert of type %s", b.AlertType)
		}
	}
	switch b.AlertType {
	case ExhaustionTime:
		o.At(minutes).Need("the minutes until the budget is exhausted are needed; 0 is when it is")
		if o.At(minutes).There() {
			m := int(whole(o.At(minutes), 0, 0, maxMinutes))
			b.ExhaustionMinutes = &m
		}
		misplaced(window)
		misplaced(decrease)
	case BudgetRate:
		o.At(window).Need("the window in minutes is needed")
		b.BudgetRateWindowMinutes = int(whole(o.At(window), 0, opts.minFrequency(), maxMinutes))
		o.At(decrease).Need("the decrease of the budget in parts of a million is needed: 50000 is 5 %")
		b.BudgetRateDecreaseThresholdPerMillion = int(whole(o.At(decrease), 0, 1, Million))
		misplaced(minutes)
	}
	return checked(b, &p)
}
