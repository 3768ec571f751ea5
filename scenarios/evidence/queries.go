package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unsafe"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// A query's result is written with short names, one line each, so that kinds of values survive: a whole number is an int, one
// with a point or an exponent a float, and {"float":"NaN"} one that JSON has no number for.

// savedQuery is a Query as it is written.
type savedQuery struct {
	Reader   int             `json:"reader"`
	Shape    string          `json:"shape"`
	Team     string          `json:"team"`
	Dataset  string          `json:"dataset"`
	Spec     json.RawMessage `json:"spec,omitempty"`
	Text     string          `json:"spec_text,omitempty"` // instead of Spec, where that is no JSON
	Target   string          `json:"target"`
	Intended time.Duration   `json:"intended"`
	Sent     time.Duration   `json:"sent"`
	Done     time.Duration   `json:"done"`
	Code     int             `json:"code"`
	Error    string          `json:"error,omitempty"`
	Complete bool            `json:"complete"`
	Missing  []savedMissing  `json:"missing,omitempty"`
	Result   *savedResult    `json:"result,omitempty"`
}

type savedMissing struct {
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Why       string `json:"why,omitempty"`
}

type savedResult struct {
	Columns []string     `json:"columns,omitempty"`
	Rows    []savedRow   `json:"rows,omitempty"`
	Series  []savedPoint `json:"series,omitempty"`
}

type savedRow struct {
	Group  []savedValue `json:"g,omitempty"`
	Values []savedCell  `json:"v,omitempty"`
}

type savedPoint struct {
	Start int64 `json:"t"`
	savedRow
}

// MarshalJSON writes the query in the form described in queries.go.
func (q Query) MarshalJSON() ([]byte, error) {
	s := savedQuery{
		Reader: q.Reader, Shape: q.Shape, Team: q.Team, Dataset: q.Dataset, Target: q.Target, Intended: q.Intended, Sent: q.Sent, Done: q.Done,
		Code: q.Code, Error: q.Error, Complete: q.Complete,
	}
	if json.Valid(q.Spec) {
		s.Spec = q.Spec
	} else {
		s.Text = string(q.Spec)
	}
	for _, m := range q.Missing {
		s.Missing = append(s.Missing, savedMissing{m.Partition, m.From, m.To, m.Why})
	}
	if q.Result != nil {
		s.Result = &savedResult{Columns: q.Result.Columns}
		for i := range q.Result.Rows {
			s.Result.Rows = append(s.Result.Rows, saveRow(&q.Result.Rows[i]))
		}
		for i := range q.Result.Series {
			p := &q.Result.Series[i]
			s.Result.Series = append(s.Result.Series, savedPoint{p.Start, saveRow(&p.Row)})
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (q *Query) UnmarshalJSON(data []byte) error {
	var s savedQuery
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*q = Query{
		Reader: s.Reader, Shape: s.Shape, Team: s.Team, Dataset: s.Dataset, Spec: s.Spec, Target: s.Target, Intended: s.Intended, Sent: s.Sent, Done: s.Done,
		Code: s.Code, Error: s.Error, Complete: s.Complete,
	}
	if s.Text != "" {
		q.Spec = json.RawMessage(s.Text)
	}
	for _, m := range s.Missing {
		q.Missing = append(q.Missing, query.Missing{Partition: m.Partition, From: m.From, To: m.To, Why: m.Why})
	}
	if s.Result == nil {
		return nil
	}
	q.Result = &exec.Result{Columns: s.Result.Columns}
	for i := range s.Result.Rows {
		q.Result.Rows = append(q.Result.Rows, s.Result.Rows[i].row())
	}
	for i := range s.Result.Series {
		p := &s.Result.Series[i]
		q.Result.Series = append(q.Result.Series, exec.Point{Start: p.Start, Row: p.row()})
	}
	return nil
}

func saveRow(r *exec.Row) savedRow {
	var s savedRow
	for _, v := range r.Group {
		s.Group = append(s.Group, savedValue(v))
	}
	for i := range r.Values {
		s.Values = append(s.Values, savedCell(r.Values[i]))
	}
	return s
}

func (s *savedRow) row() exec.Row {
	var r exec.Row
	for _, v := range s.Group {
		r.Group = append(r.Group, event.Value(v))
	}
	for i := range s.Values {
		r.Values = append(r.Values, exec.Cell(s.Values[i]))
	}
	return r
}

// savedCell is a value, or {"heatmap": [from, to, count, from, …]}.
type savedCell exec.Cell

type savedHeatmap struct {
	Heatmap []savedValue `json:"heatmap"`
}

func (c savedCell) MarshalJSON() ([]byte, error) {
	if c.Heatmap == nil {
		return savedValue(c.Value).MarshalJSON()
	}
	flat := make([]savedValue, 0, 3*len(c.Heatmap))
	for _, b := range c.Heatmap {
		for _, v := range []float64{b.From, b.To, b.Count} {
			flat = append(flat, savedValue(event.FloatValue(v)))
		}
	}
	return json.Marshal(savedHeatmap{flat})
}

func (c *savedCell) UnmarshalJSON(data []byte) error {
	*c = savedCell{}
	if !bytes.HasPrefix(data, []byte("{")) || !bytes.Contains(data, []byte(`"heatmap"`)) {
		return (*savedValue)(&c.Value).UnmarshalJSON(data)
	}
	var s savedHeatmap
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if len(s.Heatmap)%3 != 0 {
		return fmt.Errorf("a heatmap of %d numbers, which are not triples", len(s.Heatmap))
	}
	c.Heatmap = make([]exec.Bucket, 0, len(s.Heatmap)/3)
	for i := 0; i < len(s.Heatmap); i += 3 {
		b := exec.Bucket{From: event.Value(s.Heatmap[i]).Float(), To: event.Value(s.Heatmap[i+1]).Float(), Count: event.Value(s.Heatmap[i+2]).Float()}
		c.Heatmap = append(c.Heatmap, b)
	}
	return nil
}

// savedValue is a value whose kind can be told from how it is written.
type savedValue event.Value

type savedFloat struct {
	Float string `json:"float"`
}

func (v savedValue) MarshalJSON() ([]byte, error) {
	x := event.Value(v)
	switch x.Kind() {
	case event.Bool:
		return strconv.AppendBool(nil, x.Bool()), nil
	case event.Int:
		return strconv.AppendInt(nil, x.Int(), 10), nil
	case event.String:
		return json.Marshal(x.Str())
	case event.Float:
		f := x.Float()
		text := strconv.FormatFloat(f, 'g', -1, 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return json.Marshal(savedFloat{text})
		}
		if !bytes.ContainsAny([]byte(text), ".e") {
			text += ".0"
		}
		return []byte(text), nil
	case event.Null:
	}
	return []byte("null"), nil
}

func (v *savedValue) UnmarshalJSON(data []byte) error {
	set := func(x event.Value, err error) error {
		*v = savedValue(x)
		return err
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return fmt.Errorf("an empty value")
	}
	switch data[0] {
	case 'n':
		return set(event.Value{}, nil)
	case 't', 'f':
		return set(event.BoolValue(data[0] == 't'), nil)
	case '"':
		var s string
		err := json.Unmarshal(data, &s)
		return set(event.StringValue(s), err)
	case '{':
		var s savedFloat
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		f, err := strconv.ParseFloat(s.Float, 64)
		return set(event.FloatValue(f), err)
	}
	if bytes.ContainsAny(data, ".eE") {
		f, err := strconv.ParseFloat(string(data), 64)
		return set(event.FloatValue(f), err)
	}
	i, err := strconv.ParseInt(string(data), 10, 64)
	return set(event.IntValue(i), err)
}

// sizeOfQuery estimates the memory of a query.
func sizeOfQuery(q *Query) int64 {
	n := int64(unsafe.Sizeof(*q)) + int64(len(q.Shape)+len(q.Team)+len(q.Dataset)+len(q.Target)+len(q.Error)+len(q.Spec))
	for i := range q.Missing {
		n += int64(unsafe.Sizeof(q.Missing[i])) + int64(len(q.Missing[i].Why))
	}
	if q.Result == nil {
		return n
	}
	for _, c := range q.Result.Columns {
		n += 16 + int64(len(c))
	}
	row := func(r *exec.Row) {
		n += int64(unsafe.Sizeof(*r)) + 8
		for _, v := range r.Group {
			n += int64(unsafe.Sizeof(v)) + int64(len(v.Str()))
		}
		for i := range r.Values {
			n += int64(unsafe.Sizeof(r.Values[i])) + int64(len(r.Values[i].Value.Str())) + int64(len(r.Values[i].Heatmap))*int64(unsafe.Sizeof(exec.Bucket{}))
		}
	}
	for i := range q.Result.Rows {
		row(&q.Result.Rows[i])
	}
	for i := range q.Result.Series {
		row(&q.Result.Series[i].Row)
	}
	return n
}
