package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/document"
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
// error is a *[document.Error].
func ParseTrigger(body []byte, opts Options) (Trigger, error) {
	var p document.Problems
	o := read(&p, body, "name", "description", "disabled", "query", "query_id", "threshold", "frequency", "alert_type", "recipients", "tags",
		"evaluation_schedule_type", "evaluation_schedule", "baseline_details")
	t := Trigger{
		Name: name(o.At("name"), MaxName), Description: text(o.At("description"), MaxDescription), Disabled: o.At("disabled").True(),
		AlertType:  AlertType(choice(o.At("alert_type"), string(OnChange), string(OnChange), string(OnTrue))),
		Recipients: recipients(o.At("recipients")), Tags: tags(o.At("tags")),
	}
	unsupported(o.At("query_id"), "queries are not stored: send the query itself")
	unsupported(o.At("baseline_details"), "compare with a fixed threshold")
	if schedule := choice(o.At("evaluation_schedule_type"), "frequency", "frequency", "window"); schedule == "window" {
		o.At("evaluation_schedule_type").Wrong(document.CodeUnsupported, "a trigger is evaluated all the time: leave it out")
	} else {
		unsupported(o.At("evaluation_schedule"), "a trigger is evaluated all the time")
	}
	step := min(opts.minFrequency(), 60)
	t.Frequency = int(whole(o.At("frequency"), max(defaultFrequency, opts.minFrequency()), opts.minFrequency(), day))
	if int64(t.Frequency)%step != 0 {
		o.At("frequency").Wrong(document.CodeInvalid, "%d s is not a multiple of %d s", t.Frequency, step)
	}
	threshold(o.At("threshold"), &t)
	asked := o.At("query")
	if asked.Need("a query is needed, such as {\"calculations\": [{\"op\": \"COUNT\"}]}"); asked.There() {
		q, err := ranged(asked.Raw, int64(t.Frequency))
		if err != nil {
			asked.Wrong(document.CodeInvalid, "the JSON cannot be read: %v", err)
		} else {
			t.Query = q
			query(&p, &t)
		}
	}
	return checked(t, &p)
}

func threshold(v document.Value, t *Trigger) {
	th, ok := v.Object("op", "value", "exceeded_limit")
	if !ok {
		v.Need("a threshold is needed: {\"op\": \">\", \"value\": …}")
		return
	}
	th.At("op").Need("the comparison is needed: > >= < or <=")
	t.Threshold.Op = choice(th.At("op"), "", ">", ">=", "<", "<=")
	th.At("value").Need("the number to compare with is needed")
	t.Threshold.Value, _ = th.At("value").Number()
	t.Threshold.ExceededLimit = int(whole(th.At("exceeded_limit"), 0, 0, maxExceeded))
}

// ranged is a query with a time_range. All else stays as it is, names that are given twice included: what is wrong is found later.
func ranged(query json.RawMessage, seconds int64) (json.RawMessage, error) {
	query = compact(query)
	if document.KindOf(query) != document.KindObject {
		return query, nil
	}
	d := json.NewDecoder(bytes.NewReader(query))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if name != "time_range" {
			continue
		}
		if document.KindOf(value) != document.KindNull {
			return query, nil
		}
		end := d.InputOffset()
		return fmt.Appendf(nil, "%s%d%s", query[:end-int64(len(value))], seconds, query[end:]), nil
	}
	comma := ","
	if string(query) == "{}" {
		comma = ""
	}
	return fmt.Appendf(nil, `{"time_range":%d%s%s`, seconds, comma, query[1:]), nil
}

// query checks what a trigger asks.
func query(p *document.Problems, t *Trigger) {
	// Any moment will do: without start and end, only the length of the time range matters.
	q, err := spec.Parse(t.Query, time.Unix(2*maxUnix/5, 0))
	if err != nil {
		var list *document.Error
		if !errors.As(err, &list) {
			p.Add("query", document.CodeInvalid, "%v", err)
			return
		}
		for _, one := range list.Problems {
			field := "query"
			if one.Field != "" {
				field += "." + one.Field
			}
			p.Add(field, one.Code, "%s", one.Text)
		}
		return
	}
	var times struct {
		Start json.RawMessage `json:"start_time"`
		End   json.RawMessage `json:"end_time"`
	}
	if err := json.Unmarshal(t.Query, &times); err != nil {
		p.Add("query", document.CodeInvalid, "the JSON cannot be read: %v", err)
		return
	}
	if times.Start != nil && document.KindOf(times.Start) != document.KindNull {
		p.Add("query.start_time", document.CodeInvalid, "a trigger looks at the time before each evaluation: give a time_range alone")
	}
	if times.End != nil && document.KindOf(times.End) != document.KindNull {
		p.Add("query.end_time", document.CodeInvalid, "a trigger looks at the time before each evaluation: give a time_range alone")
	}
	length := int64(q.End.Sub(q.Start) / time.Second)
	if length > day {
		p.Add("query.time_range", document.CodeInvalid, "%d s, at most a day (%d s) is allowed in a trigger", length, day)
	}
	if t.Frequency > 0 && length > maxRanges*int64(t.Frequency) {
		p.Add("query.time_range", document.CodeInvalid, "%d s, at most %d times the frequency (%d s) is allowed", length, maxRanges, maxRanges*t.Frequency)
	}
	if len(q.Calculations) != 1 {
		p.Add("query.calculations", document.CodeTooMany, "%d calculations: a trigger compares the value of exactly one", len(q.Calculations))
		return
	}
	switch op := q.Calculations[0].Op; op {
	case spec.Heatmap:
		p.Add("query.calculations[0].op", document.CodeInvalid, "HEATMAP is not one number: a trigger cannot compare it")
	case spec.Count, spec.CountDistinct:
		th := t.Threshold
		if th.Op == "<" && th.Value <= 0 || th.Op == "<=" && th.Value < 0 {
			p.Add("threshold.value", document.CodeInvalid, "%s is never %s %v: the trigger could never fire", op, th.Op, th.Value)
		}
	}
}
