package spec

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/nearest"
)

var (
	queryKeys = []string{
		"calculations", "filters", "filter_combination", "breakdowns", "orders", "havings", "limit", "time_range", "start_time",
		"end_time", "granularity", "calculated_fields", "formulas", "compare_time_offset_seconds",
	}
	calculationKeys = []string{"op", "column", "name", "filters", "filter_combination"}
	filterKeys      = []string{"column", "op", "value"}
	orderKeys       = []string{"op", "column", "order"}
	havingKeys      = []string{"calculate_op", "column", "op", "value"}
	combinations    = []string{"AND", "OR"}
	directions      = []string{"ascending", "descending"}
	comparisons     = []string{opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual}
)

// Parse reads and checks a query specification as JSON. now is when the query is asked, for time ranges without an end:
// they end with the second that now is in. The error is an *Error with everything that is wrong.
func Parse(data []byte, now time.Time) (*Query, error) {
	var p parser
	q := p.query(data, now)
	if len(p.list) > 0 {
		return nil, &Error{p.list}
	}
	return q, nil
}

type parser struct{ problems }

func (p *parser) query(data []byte, now time.Time) *Query {
	switch {
	case len(data) > MaxBytes:
		p.add("", CodeInvalid, "the query has %d bytes, at most %d are allowed", len(data), MaxBytes)
		return nil
	case !utf8.Valid(data):
		p.add("", CodeInvalid, "the query is not valid UTF-8")
		return nil
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		p.add("", CodeInvalid, "the query is not valid JSON: %v", err)
		return nil
	}
	keys, _ := p.object("", raw, queryKeys)
	if keys == nil {
		return nil
	}
	p.unsupported(keys)
	q := &Query{}
	q.Calculations = p.calculations(keys["calculations"])
	q.Filters, q.Or = p.filters("", keys)
	q.Breakdowns = p.breakdowns(keys["breakdowns"])
	for i := range q.Calculations {
		if c := &q.Calculations[i]; contains(q.Breakdowns, c.Name) {
			p.add(at("calculations", i), CodeInvalid, "%q is a breakdown too: give the calculation another name", short(c.Name))
		}
	}
	q.Orders = p.orders(keys["orders"], q)
	q.Havings = p.havings(keys["havings"], q)
	q.Limit = DefaultLimit
	if n, ok := p.whole("limit", keys["limit"], 1, MaxLimit); ok {
		q.Limit = int(n)
	}
	p.times(keys, now, q)
	return q
}

// unsupported refuses what the API has and this system does not calculate, rather than to ignore it.
func (p *parser) unsupported(keys map[string]json.RawMessage) {
	for _, name := range []string{"calculated_fields", "formulas"} {
		if raw, there := keys[name]; there && len(p.array(name, raw, 100)) > 0 {
			p.add(name, CodeUnsupported, "%s are not supported: calculate over columns that events have", name)
		}
	}
	if _, there := keys["compare_time_offset_seconds"]; there {
		p.add("compare_time_offset_seconds", CodeUnsupported, "comparison with an earlier time is not supported: run a second query with another start_time")
	}
}

func (p *parser) calculations(raw json.RawMessage) []Calculation {
	items := p.array("calculations", raw, MaxCalculations)
	if len(items) == 0 {
		return []Calculation{{Op: Count, Name: string(Count)}}
	}
	list := make([]Calculation, 0, len(items))
	names := map[string]bool{}
	for i, item := range items {
		field := at("calculations", i)
		keys, _ := p.object(field, item, calculationKeys)
		if keys == nil {
			continue
		}
		c := Calculation{Op: p.op(join(field, "op"), keys["op"])}
		c.Column = p.calculated(field, c.Op, keys["column"])
		c.Filters, c.Or = p.filters(field, keys)
		c.Name = DefaultName(c.Op, c.Column)
		if name, ok := p.str(join(field, "name"), keys["name"]); ok {
			c.Name = name
		}
		if names[c.Name] && c.Op != "" {
			p.add(field, CodeInvalid, "there is a calculation %q already: give this one another name", short(c.Name))
		}
		names[c.Name] = true
		list = append(list, c)
	}
	return list
}

// op reads a calculation's operation.
func (p *parser) op(field string, raw json.RawMessage) Op {
	if raw == nil {
		p.add(field, CodeMissing, "the operation is missing, such as COUNT")
		return ""
	}
	names := make([]string, 0, len(quantiles)+10)
	for _, op := range Ops() {
		names = append(names, string(op))
	}
	s, ok := p.str(field, raw)
	switch {
	case !ok:
		return ""
	case Op(s) == concurrency:
		p.add(field, CodeUnsupported, "CONCURRENCY is not calculated: it needs the spans that began before the time range")
		return ""
	case !contains(names, s):
		p.add(field, CodeInvalid, "there is no operation %q: %s", short(s), nearest.Suggest(s, names))
		return ""
	}
	return Op(s)
}

// calculated reads the column that an operation is about.
func (p *parser) calculated(field string, op Op, raw json.RawMessage) string {
	field = join(field, "column")
	switch {
	case op == "":
		return ""
	case op == Count && raw != nil:
		p.add(field, CodeInvalid, "COUNT takes no column: it counts events")
		return ""
	case op == Count:
		return ""
	case raw == nil:
		p.add(field, CodeMissing, "%s needs a column", op)
		return ""
	}
	s, _ := p.str(field, raw)
	return s
}

func (p *parser) breakdowns(raw json.RawMessage) []string {
	items := p.array("breakdowns", raw, MaxBreakdowns)
	var list []string
	for i, item := range items {
		if kindOf(item) == "null" {
			p.add(at("breakdowns", i), CodeType, "expected a string, found null")
			continue
		}
		s, ok := p.str(at("breakdowns", i), item)
		switch {
		case !ok:
		case contains(list, s):
			p.add(at("breakdowns", i), CodeInvalid, "%q is a breakdown already", short(s))
		default:
			list = append(list, s)
		}
	}
	return list
}

func (p *parser) orders(raw json.RawMessage, q *Query) []Order {
	var list []Order
	for i, item := range p.array("orders", raw, MaxBreakdowns+MaxCalculations) {
		field := at("orders", i)
		keys, _ := p.object(field, item, orderKeys)
		if keys == nil {
			continue
		}
		var o Order
		if direction, ok := p.choice(join(field, "order"), keys["order"], directions[0], directions); ok {
			o.Descending = direction == directions[1]
		}
		if keys["op"] == nil {
			o.Column = p.orderedBreakdown(field, keys["column"], q)
		} else {
			o.Op, o.Column = p.present(field, "op", keys, q)
		}
		list = append(list, o)
	}
	return list
}

func (p *parser) orderedBreakdown(field string, raw json.RawMessage, q *Query) string {
	if raw == nil {
		p.add(field, CodeMissing, "an order needs the column of a breakdown, or the op of a calculation")
		return ""
	}
	s, ok := p.str(join(field, "column"), raw)
	if ok && !contains(q.Breakdowns, s) {
		p.add(join(field, "column"), CodeInvalid, "%q is not one of the breakdowns: order by a breakdown, or name the op of a calculation", short(s))
	}
	return s
}

// present reads the operation and column of a calculation that must be there and be one number.
func (p *parser) present(field, opKey string, keys map[string]json.RawMessage, q *Query) (Op, string) {
	before := len(p.list)
	op := p.op(join(field, opKey), keys[opKey])
	column := p.calculated(field, op, keys["column"])
	switch {
	case op == "" || len(p.list) > before:
	case op == Heatmap:
		p.add(join(field, opKey), CodeInvalid, "HEATMAP is not one number: it can neither order nor limit groups")
	case q.Calculation(op, column) < 0:
		p.add(field, CodeInvalid, "%s is not one of the calculations: add it there", DefaultName(op, short(column)))
	}
	return op, column
}

func (p *parser) havings(raw json.RawMessage, q *Query) []Having {
	var list []Having
	for i, item := range p.array("havings", raw, MaxFilters) {
		field := at("havings", i)
		keys, _ := p.object(field, item, havingKeys)
		if keys == nil {
			continue
		}
		var h Having
		h.Op, h.Column = p.present(field, "calculate_op", keys, q)
		if keys["op"] == nil {
			p.add(join(field, "op"), CodeMissing, "the comparison is missing, such as >")
		} else {
			h.Cmp, _ = p.choice(join(field, "op"), keys["op"], "", comparisons)
		}
		switch raw := keys["value"]; {
		case raw == nil:
			p.add(join(field, "value"), CodeMissing, "the number to compare with is missing")
		case kindOf(raw) != "a number":
			p.add(join(field, "value"), CodeType, "expected a number, found %s", kindOf(raw))
		default:
			if v, ok := p.value(join(field, "value"), raw); ok {
				h.Value = v.Float()
			}
		}
		list = append(list, h)
	}
	return list
}
