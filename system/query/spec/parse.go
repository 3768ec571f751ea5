package spec

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/document"
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
// they end with the second that now is in. The error is a *[document.Error] with everything that is wrong.
func Parse(data []byte, now time.Time) (*Query, error) {
	var p parser
	q := p.query(data, now)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return q, nil
}

type parser struct{ document.Problems }

func (p *parser) query(data []byte, now time.Time) *Query {
	o, ok := document.Read(&p.Problems, data, MaxBytes).Object(queryKeys...)
	if !ok {
		return nil
	}
	unsupported(o)
	q := &Query{}
	q.Calculations = p.calculations(o.At("calculations"))
	q.Filters, q.Or = p.filters(o)
	q.Breakdowns = breakdowns(o.At("breakdowns"))
	for i := range q.Calculations {
		if c := &q.Calculations[i]; slices.Contains(q.Breakdowns, c.Name) {
			p.Add(fmt.Sprintf("calculations[%d]", i), document.CodeInvalid, "%q is a breakdown too: give the calculation another name", document.Short(c.Name))
		}
	}
	q.Orders = p.orders(o.At("orders"), q)
	q.Havings = p.havings(o.At("havings"), q)
	q.Limit = DefaultLimit
	if n, ok := o.At("limit").Whole(1, MaxLimit); ok {
		q.Limit = int(n)
	}
	p.times(o, now, q)
	return q
}

// unsupported refuses what the API has and this system does not calculate, rather than to ignore it.
func unsupported(o document.Object) {
	for _, name := range []string{"calculated_fields", "formulas"} {
		if v := o.At(name); len(v.Elements(100)) > 0 {
			v.Wrong(document.CodeUnsupported, "%s are not supported: calculate over columns that events have", name)
		}
	}
	if v := o.At("compare_time_offset_seconds"); v.There() {
		v.Wrong(document.CodeUnsupported, "comparison with an earlier time is not supported: run a second query with another start_time")
	}
}

func (p *parser) calculations(v document.Value) []Calculation {
	items := v.Elements(MaxCalculations)
	if len(items) == 0 {
		return []Calculation{{Op: Count, Name: string(Count)}}
	}
	list := make([]Calculation, 0, len(items))
	names := map[string]bool{}
	for _, item := range items {
		o, ok := item.Object(calculationKeys...)
		if !ok {
			continue
		}
		c := Calculation{Op: operation(o.At("op"))}
		c.Column = calculated(o.At("column"), c.Op)
		c.Filters, c.Or = p.filters(o)
		c.Name = DefaultName(c.Op, c.Column)
		if name, ok := str(o.At("name")); ok {
			c.Name = name
		}
		if names[c.Name] && c.Op != "" {
			item.Wrong(document.CodeInvalid, "there is a calculation %q already: give this one another name", document.Short(c.Name))
		}
		names[c.Name] = true
		list = append(list, c)
	}
	return list
}

// operation reads a calculation's operation.
func operation(v document.Value) Op {
	names := make([]string, 0, len(quantiles)+10)
	for _, op := range Ops() {
		names = append(names, string(op))
	}
	v.Need("the operation is missing, such as COUNT")
	s, ok := str(v)
	switch {
	case !ok:
		return ""
	case Op(s) == concurrency:
		v.Wrong(document.CodeUnsupported, "CONCURRENCY is not calculated: it needs the spans that began before the time range")
		return ""
	case !slices.Contains(names, s):
		v.Wrong(document.CodeInvalid, "there is no operation %q: %s", document.Short(s), nearest.Suggest(s, names))
		return ""
	}
	return Op(s)
}

// calculated reads the column that an operation is about.
func calculated(v document.Value, op Op) string {
	switch {
	case op == "":
		return ""
	case op == Count && v.There():
		v.Wrong(document.CodeInvalid, "COUNT takes no column: it counts events")
		return ""
	case op == Count:
		return ""
	case !v.There():
		v.Wrong(document.CodeMissing, "%s needs a column", op)
		return ""
	}
	s, _ := str(v)
	return s
}

func breakdowns(v document.Value) []string {
	var list []string
	for _, item := range v.Elements(MaxBreakdowns) {
		s, ok := str(item)
		switch {
		case !ok:
		case slices.Contains(list, s):
			item.Wrong(document.CodeInvalid, "%q is a breakdown already", document.Short(s))
		default:
			list = append(list, s)
		}
	}
	return list
}

func (p *parser) orders(v document.Value, q *Query) []Order {
	var list []Order
	for _, item := range v.Elements(MaxBreakdowns + MaxCalculations) {
		o, ok := item.Object(orderKeys...)
		if !ok {
			continue
		}
		var order Order
		if direction, ok := o.At("order").Choice(directions[0], directions...); ok {
			order.Descending = direction == directions[1]
		}
		if o.At("op").There() {
			order.Op, order.Column = p.present(o, "op", q)
		} else {
			order.Column = orderedBreakdown(o, q)
		}
		list = append(list, order)
	}
	return list
}

func orderedBreakdown(o document.Object, q *Query) string {
	v := o.At("column")
	if !v.There() {
		o.Wrong(document.CodeMissing, "an order needs the column of a breakdown, or the op of a calculation")
		return ""
	}
	s, ok := str(v)
	if ok && !slices.Contains(q.Breakdowns, s) {
		v.Wrong(document.CodeInvalid, "%q is not one of the breakdowns: order by a breakdown, or name the op of a calculation", document.Short(s))
	}
	return s
}

// present reads the operation and column of a calculation that must be there and be one number.
func (p *parser) present(o document.Object, opKey string, q *Query) (Op, string) {
	before := p.Count()
	op := operation(o.At(opKey))
	column := calculated(o.At("column"), op)
	switch {
	case op == "" || p.Count() > before:
	case op == Heatmap:
		o.At(opKey).Wrong(document.CodeInvalid, "HEATMAP is not one number: it can neither order nor limit groups")
	case q.Calculation(op, column) < 0:
		o.Wrong(document.CodeInvalid, "%s is not one of the calculations: add it there", DefaultName(op, document.Short(column)))
	}
	return op, column
}

func (p *parser) havings(v document.Value, q *Query) []Having {
	var list []Having
	for _, item := range v.Elements(MaxFilters) {
		o, ok := item.Object(havingKeys...)
		if !ok {
			continue
		}
		var h Having
		h.Op, h.Column = p.present(o, "calculate_op", q)
		o.At("op").Need("the comparison is missing, such as >")
		h.Cmp, _ = o.At("op").Choice("", comparisons...)
		o.At("value").Need("the number to compare with is missing")
		h.Value, _ = o.At("value").Number()
		list = append(list, h)
	}
	return list
}
