package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/query/spec"
)

const (
	defaultFrequency = 900
	day              = 24 * 60 * 60
	// maxRanges is how many times its frequency a trigger may look back.
	maxRanges = 4
	// maxExceeded is how many windows in a row may be asked for.
	maxExceeded = 5
)

// ParseTrigger reads and checks a trigger. Its query always has a time_range afterwards: the frequency if it had none. An
// error is an *[Error].
func ParseTrigger(body []byte, opts Options) (Trigger, error) {
	var p problems
	o := read(&p, body, "name", "description", "disabled", "query", "query_id", "threshold", "frequency", "alert_type", "recipients", "tags",
		"evaluation_schedule_type", "evaluation_schedule", "baseline_details")
	t := Trigger{
		Name: o.name("name", MaxName), Description: o.text("description", MaxDescription), Disabled: o.boolean("disabled"),
		AlertType:  AlertType(o.choice("alert_type", string(OnChange), string(OnChange), string(OnTrue))),
		Recipients: o.recipients(), Tags: o.tags(),
	}
	o.unsupported("query_id", "queries are not stored: send the query itself")
	o.unsupported("baseline_details", "compare with a fixed threshold")
	if schedule := o.choice("evaluation_schedule_type", "frequency", "frequency", "window"); schedule == "window" {
		p.add("evaluation_schedule_type", CodeUnsupported, "a trigger is evaluated all the time: leave it out")
	} else {
		o.unsupported("evaluation_schedule", "a trigger is evaluated all the time")
	}
	step := min(opts.minFrequency(), 60)
	t.Frequency = int(o.whole("frequency", max(defaultFrequency, opts.minFrequency()), opts.minFrequency(), day))
	if int64(t.Frequency)%step != 0 {
		p.add("frequency", CodeInvalid, "%d s is not a multiple of %d s", t.Frequency, step)
	}
	o.threshold(&t)
	if o.need("query", "a query is needed, such as {\"calculations\": [{\"op\": \"COUNT\"}]}"); o.has("query") {
		q, err := ranged(o.members["query"], int64(t.Frequency))
		if err != nil {
			p.add("query", CodeInvalid, "the JSON cannot be read: %v", err)
		} else {
			t.Query = q
			p.query(&t)
		}
	}
	return checked(t, p)
}

func (o object) threshold(t *Trigger) {
	th, ok := o.object("threshold", "op", "value", "exceeded_limit")
	if !ok {
		o.need("threshold", "a threshold is needed: {\"op\": \">\", \"value\": …}")
		return
	}
	th.need("op", "the comparison is needed: > >= < or <=")
	t.Threshold.Op = th.choice("op", "", ">", ">=", "<", "<=")
	th.need("value", "the number to compare with is needed")
	t.Threshold.Value = th.number("value")
	t.Threshold.ExceededLimit = int(th.whole("exceeded_limit", 0, 0, maxExceeded))
}

// ranged is a query with a time_range.
func ranged(query json.RawMessage, seconds int64) (json.RawMessage, error) {
	query = compact(query)
	var members map[string]json.RawMessage
	if kindOf(query) != "an object" {
		return query, nil // what is wrong is found later
	}
	if err := json.Unmarshal(query, &members); err != nil {
		return nil, err
	}
	switch raw, there := members["time_range"]; {
	case !there && len(members) == 0:
		return json.RawMessage(fmt.Sprintf(`{"time_range":%d}`, seconds)), nil
	case !there:
		return json.RawMessage(fmt.Sprintf(`{"time_range":%d,%s`, seconds, query[1:])), nil
	case kindOf(raw) == "null":
		members["time_range"] = json.RawMessage(fmt.Sprint(seconds))
		return json.Marshal(members)
	}
	return query, nil
}

// query checks what a trigger asks.
func (p *problems) query(t *Trigger) {
	// Any moment will do: without start and end, only the length of the time range matters.
	q, err := spec.Parse(t.Query, time.Unix(2*maxUnix/5, 0))
	if err != nil {
		var list *spec.Error
		if !errors.As(err, &list) {
			p.add("query", CodeInvalid, "%v", err)
			return
		}
		for _, one := range list.Problems {
			field := "query"
			if one.Field != "" {
				field += "." + one.Field
			}
			p.add(field, one.Code, "%s", one.Text)
		}
		return
	}
	var times struct {
		Start json.RawMessage `json:"start_time"`
		End   json.RawMessage `json:"end_time"`
	}
	if err := json.Unmarshal(t.Query, &times); err != nil {
		p.add("query", CodeInvalid, "the JSON cannot be read: %v", err)
		return
	}
	if times.Start != nil && kindOf(times.Start) != "null" {
		p.add("query.start_time", CodeInvalid, "a trigger looks at the time before each evaluation: give a time_range alone")
	}
	if times.End != nil && kindOf(times.End) != "null" {
		p.add("query.end_time", CodeInvalid, "a trigger looks at the time before each evaluation: give a time_range alone")
	}
	length := int64(q.End.Sub(q.Start) / time.Second)
	if length > day {
		p.add("query.time_range", CodeInvalid, "%d s, at most a day (%d s) is allowed in a trigger", length, day)
	}
	if t.Frequency > 0 && length > maxRanges*int64(t.Frequency) {
		p.add("query.time_range", CodeInvalid, "%d s, at most %d times the frequency (%d s) is allowed", length, maxRanges, maxRanges*t.Frequency)
	}
	if len(q.Calculations) != 1 {
		p.add("query.calculations", CodeTooMany, "%d calculations: a trigger compares the value of exactly one", len(q.Calculations))
		return
	}
	switch op := q.Calculations[0].Op; op {
	case spec.Heatmap:
		p.add("query.calculations[0].op", CodeInvalid, "HEATMAP is not one number: a trigger cannot compare it")
	case spec.Count, spec.CountDistinct:
		th := t.Threshold
		if th.Op == "<" && th.Value <= 0 || th.Op == "<=" && th.Value < 0 {
			p.add("threshold.value", CodeInvalid, "%s is never %s %v: the trigger could never fire", op, th.Op, th.Value)
		}
	}
}
