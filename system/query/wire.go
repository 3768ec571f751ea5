package query

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// wireResult is the answer to a poll, as it is read.
type wireResult struct {
	ID       string `json:"id"`
	Complete bool   `json:"complete"`
	Data     struct {
		Series []struct {
			Time time.Time                  `json:"time"`
			Data map[string]json.RawMessage `json:"data"`
		} `json:"series"`
		Results []struct {
			Data map[string]json.RawMessage `json:"data"`
		} `json:"results"`
	} `json:"data"`
	wireOwn
}

// wireOwn is what this system's answers have beside the API's: what is missing, up to when everything is counted that Kafka had
// acknowledged (null: not known), in which order the columns are, and how many of them are breakdowns.
type wireOwn struct {
	Partial    bool          `json:"partial"`
	Truncated  bool          `json:"truncated"`
	Missing    []wireMissing `json:"missing"`
	FreshTo    *time.Time    `json:"fresh_to"`
	Stats      wireStats     `json:"stats"`
	Columns    []string      `json:"columns"`
	Breakdowns int           `json:"breakdowns"`
}

type wireMissing struct {
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Why       string `json:"why"`
}

type wireStats struct {
	RowsScanned     int64   `json:"rows_scanned"`
	SegmentsRead    int64   `json:"segments_read"`
	SegmentsSkipped int64   `json:"segments_skipped"`
	Hedged          int64   `json:"hedged"`
	Reissued        int64   `json:"reissued"`
	ColdStarts      int64   `json:"cold_starts"`
	Millis          float64 `json:"millis"`
}

type wireBucket struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Count float64 `json:"count"`
}

// appendResult writes a finished answer. flush is handed what was written so far every now and then, and returns where to go on.
func appendResult(b []byte, id, link string, breakdowns int, a *Answer, flush func([]byte) []byte) ([]byte, error) {
	r := a.Result
	rest, err := json.Marshal(wireOwn{!a.Complete, r.Truncated, missingToWire(a.Missing), instant(a.FreshTo), wireStats(a.Stats), r.Columns, breakdowns})
	if err != nil {
		return nil, err
	}
	b = event.AppendJSONString(append(b, `{"id":`...), id)
	b = append(b, `,"complete":true,"data":{"series":[`...)
	for i := range r.Series {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"time":"`...)
		b = time.Unix(r.Series[i].Start, 0).UTC().AppendFormat(b, time.RFC3339)
		b = append(b, `","data":`...)
		b = flush(append(appendRow(b, r.Columns, &r.Series[i].Row), '}'))
	}
	b = append(b, `],"results":[`...)
	for i := range r.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = flush(append(appendRow(append(b, `{"data":`...), r.Columns, &r.Rows[i]), '}'))
	}
	b = event.AppendJSONString(append(b, `]},"links":{"query_url":`...), link)
	b = append(b, `,"graph_image_url":""}`...)
	b = append(append(b, ','), rest[1:]...)
	return append(b, '\n'), nil
}

// instant is a time in nanoseconds; nil for 0.
func instant(nano int64) *time.Time {
	if nano == 0 {
		return nil
	}
	t := time.Unix(0, nano).UTC()
	return &t
}

func missingToWire(list []Missing) []wireMissing {
	wire := make([]wireMissing, len(list))
	for i, m := range list {
		wire[i] = wireMissing(m)
	}
	return wire
}

func appendRow(b []byte, columns []string, r *exec.Row) []byte {
	b = append(b, '{')
	for i, name := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(event.AppendJSONString(b, name), ':')
		if i < len(r.Group) {
			b = appendValue(b, r.Group[i])
		} else {
			b = appendCell(b, &r.Values[i-len(r.Group)])
		}
	}
	return append(b, '}')
}

func appendCell(b []byte, c *exec.Cell) []byte {
	if c.Heatmap == nil {
		return appendValue(b, c.Value)
	}
	b = append(b, '[')
	for i, bucket := range c.Heatmap {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(append(b, `{"from":`...), bucket.From)
		b = appendFloat(append(b, `,"to":`...), bucket.To)
		b = append(appendFloat(append(b, `,"count":`...), bucket.Count), '}')
	}
	return append(b, ']')
}

// appendValue writes a value so that it can be read back exactly: a float always has a point or an exponent.
func appendValue(b []byte, v event.Value) []byte {
	switch v.Kind() {
	case event.Bool:
		return strconv.AppendBool(b, v.Bool())
	case event.Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case event.Float:
		return appendFloat(b, v.Float())
	case event.String:
		return event.AppendJSONString(b, v.Str())
	}
	return append(b, "null"...)
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...) // JSON has no such number
	}
	n := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if !strings.ContainsAny(string(b[n:]), ".e") {
		b = append(b, ".0"...)
	}
	return b
}

// parseValue reads what appendValue wrote.
func parseValue(raw json.RawMessage) (event.Value, error) {
	text := string(raw)
	switch {
	case text == "null" || text == "":
		return event.Value{}, nil
	case text == "true" || text == "false":
		return event.BoolValue(text == "true"), nil
	case text[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return event.StringValue(s), err
	case !strings.ContainsAny(text, ".eE"):
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return event.IntValue(i), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return event.Value{}, fmt.Errorf("%.40q is not a value", text)
	}
	return event.FloatValue(f), nil
}

// parseRow reads one group's data.
func parseRow(columns []string, breakdowns int, data map[string]json.RawMessage) (exec.Row, error) {
	var r exec.Row
	for i, name := range columns {
		raw := data[name]
		if i >= breakdowns && len(raw) > 0 && raw[0] == '[' {
			var wire []wireBucket
			if err := json.Unmarshal(raw, &wire); err != nil {
				return r, fmt.Errorf("%s: %w", name, err)
			}
			c := exec.Cell{}
			for _, w := range wire {
				c.Heatmap = append(c.Heatmap, exec.Bucket(w))
			}
			r.Values = append(r.Values, c)
			continue
		}
		v, err := parseValue(raw)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		if i < breakdowns {
			r.Group = append(r.Group, v)
		} else {
			r.Values = append(r.Values, exec.Cell{Value: v})
		}
	}
	return r, nil
}

// answer is a finished result as an Answer.
func (w *wireResult) answer() (Answer, error) {
	if w.Breakdowns < 0 || w.Breakdowns > len(w.Columns) {
		return Answer{}, fmt.Errorf("%d breakdowns of %d columns", w.Breakdowns, len(w.Columns))
	}
	a := Answer{Code: 200, Complete: !w.Partial, Stats: Stats(w.Stats), Result: &exec.Result{Columns: w.Columns, Truncated: w.Truncated}}
	if w.FreshTo != nil {
		a.FreshTo = w.FreshTo.UnixNano()
	}
	for _, m := range w.Missing {
		a.Missing = append(a.Missing, Missing(m))
	}
	for i := range w.Data.Results {
		row, err := parseRow(w.Columns, w.Breakdowns, w.Data.Results[i].Data)
		if err != nil {
			return Answer{}, err
		}
		a.Result.Rows = append(a.Result.Rows, row)
	}
	for i := range w.Data.Series {
		row, err := parseRow(w.Columns, w.Breakdowns, w.Data.Series[i].Data)
		if err != nil {
			return Answer{}, err
		}
		a.Result.Series = append(a.Result.Series, exec.Point{Start: w.Data.Series[i].Time.Unix(), Row: row})
	}
	return a, nil
}
