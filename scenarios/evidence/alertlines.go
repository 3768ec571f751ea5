package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unsafe"
)

// What roles and receivers hand over may be anything, and has to survive being saved: text that is no JSON is written as a
// string beside where the JSON would be, and a number that JSON does not have as {"float":"NaN"}.

// rawText parts what is JSON from what is not.
func rawText(data json.RawMessage) (raw json.RawMessage, text []byte) {
	if len(data) == 0 || json.Valid(data) {
		return data, nil
	}
	return nil, data
}

// savedAlert is an Alert as it is written: its query may be no JSON.
type savedAlert struct {
	alertFields
	Query []byte `json:"query_text,omitempty"` // instead of trigger.query
}

type alertFields Alert

// MarshalJSON writes the alert so that any query survives.
func (a Alert) MarshalJSON() ([]byte, error) {
	s := savedAlert{alertFields: alertFields(a)}
	if s.Trigger.Query, s.Query = rawText(a.Trigger.Query); len(s.Trigger.Query) == 0 {
		s.Trigger.Query = json.RawMessage("null")
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Alert) UnmarshalJSON(data []byte) error {
	var s savedAlert
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*a = Alert(s.alertFields)
	if bytes.Equal(a.Trigger.Query, []byte("null")) {
		a.Trigger.Query = nil
	}
	if len(s.Query) > 0 {
		a.Trigger.Query = s.Query
	}
	return nil
}

// savedEvaluation is an Evaluation as it is written.
type savedEvaluation struct {
	evaluationFields
	Value savedNumber `json:"value"`
	Text  []byte      `json:"notice_text,omitempty"` // instead of notice
}

type evaluationFields Evaluation

// MarshalJSON writes the evaluation so that any value and notice survive.
func (v Evaluation) MarshalJSON() ([]byte, error) {
	s := savedEvaluation{evaluationFields: evaluationFields(v), Value: savedNumber(v.Value)}
	s.Notice, s.Text = rawText(v.Notice)
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Evaluation) UnmarshalJSON(data []byte) error {
	var s savedEvaluation
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*v = Evaluation(s.evaluationFields)
	v.Value = float64(s.Value)
	if len(s.Text) > 0 {
		v.Notice = s.Text
	}
	return nil
}

// savedDelivery is a Delivery as it is written.
type savedDelivery struct {
	At   time.Duration   `json:"at"`
	Key  string          `json:"key"`
	Body json.RawMessage `json:"body,omitempty"`
	Text []byte          `json:"body_text,omitempty"` // instead of body
}

// MarshalJSON writes the delivery so that any body survives.
func (d Delivery) MarshalJSON() ([]byte, error) {
	s := savedDelivery{At: d.At, Key: d.Key}
	s.Body, s.Text = rawText(d.Body)
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Delivery) UnmarshalJSON(data []byte) error {
	var s savedDelivery
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*d = Delivery{At: s.At, Key: s.Key, Body: s.Body}
	if len(s.Text) > 0 {
		d.Body = s.Text
	}
	return nil
}

// savedNumber is a number of which JSON has not all.
type savedNumber float64

func (n savedNumber) MarshalJSON() ([]byte, error) {
	f := float64(n)
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return json.Marshal(savedFloat{text})
	}
	return []byte(text), nil
}

func (n *savedNumber) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, (*float64)(n))
	}
	var s savedFloat
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(s.Float, 64)
	if err != nil {
		return fmt.Errorf("a number %.40q", s.Float)
	}
	*n = savedNumber(f)
	return nil
}

func sizeOfSLO(s *SLO) int64 {
	return int64(unsafe.Sizeof(*s)) + int64(len(s.Name)+len(s.Dataset)+len(s.Expression))
}

func sizeOfAlert(a *Alert) int64 {
	t := &a.Trigger
	n := int64(unsafe.Sizeof(*a)) + int64(len(a.Name)+len(a.Dataset)+len(t.Name)+len(t.Description)+len(t.Query)+len(t.AlertType)+len(t.Threshold.Op))
	for i := range t.Recipients {
		n += int64(unsafe.Sizeof(t.Recipients[i])) + int64(len(t.Recipients[i].ID)+len(t.Recipients[i].Type)+len(t.Recipients[i].Target))
	}
	for i := range t.Tags {
		n += int64(unsafe.Sizeof(t.Tags[i])) + int64(len(t.Tags[i].Key)+len(t.Tags[i].Value))
	}
	return n
}

func sizeOfEvaluation(v *Evaluation) int64 {
	return int64(unsafe.Sizeof(*v)) + int64(len(v.By)+len(v.Notice))
}

// definedDifference compares what was defined before the load began.
func definedDifference(a, b *Evidence, text func(any) string) Difference {
	d := firstOf(SLOsFile, a.SLOs, b.SLOs, func(x, y *SLO) bool { return *x == *y }, func(s *SLO) string { return text(s) })
	if d.Found() {
		return d
	}
	return firstOf(AlertsFile, a.Alerts, b.Alerts, func(x, y *Alert) bool { return text(x) == text(y) }, func(x *Alert) string { return text(x) })
}

// alertingDifference compares what counting and alerting did.
func alertingDifference(a, b *Evidence, text func(any) string) Difference {
	for _, piece := range []func() Difference{
		func() Difference {
			return firstOf(EvaluationsFile, a.Evaluations, b.Evaluations, func(x, y *Evaluation) bool { return text(x) == text(y) }, func(v *Evaluation) string { return text(v) })
		},
		func() Difference {
			return firstOf(DeliveriesFile, a.Deliveries, b.Deliveries, func(x, y *Delivery) bool { return text(x) == text(y) }, func(d *Delivery) string { return text(d) })
		},
		func() Difference {
			return firstOf(ProgressFile, a.Progress, b.Progress, func(x, y *Progress) bool { return *x == *y }, func(p *Progress) string { return text(p) })
		},
		func() Difference {
			return firstOf(CountsFile, a.Counts, b.Counts, func(x, y *SLOCount) bool { return *x == *y }, func(c *SLOCount) string { return text(c) })
		},
	} {
		if d := piece(); d.Found() {
			return d
		}
	}
	return Difference{}
}
