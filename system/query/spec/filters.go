package spec

import (
	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/event"
)

// filters reads the filters of a query or of a calculation, and how they are combined.
func (p *parser) filters(o document.Object) (list []Filter, or bool) {
	combination, _ := o.At("filter_combination").Choice(combinations[0], combinations...)
	for _, item := range o.At("filters").Elements(MaxFilters) {
		if f, ok := p.filter(item); ok {
			list = append(list, f)
		}
	}
	return list, combination == combinations[1]
}

func (p *parser) filter(v document.Value) (f Filter, ok bool) {
	before := p.Count()
	o, ok := v.Object(filterKeys...)
	if !ok {
		return f, false
	}
	o.At("column").Need("a filter needs a column")
	f.Column, _ = str(o.At("column"))
	o.At("op").Need("a filter needs an operator, such as =")
	if f.Op, _ = o.At("op").Choice("", FilterOps()...); f.Op != "" {
		f.Values = operands(o.At("value"), f.Op)
	}
	return f, p.Count() == before
}

// operands reads what an operator compares with.
func operands(v document.Value, op string) []event.Value {
	positive, _ := Positive(op)
	switch kind := document.KindOf(v.Raw); {
	case positive == opExists:
		if v.There() {
			v.Wrong(document.CodeInvalid, "%s takes no value", op)
		}
		return nil
	case !v.There():
		v.Wrong(document.CodeMissing, "%s needs a value; to ask for a column without one, use does-not-exist", op)
		return nil
	case positive == opIn && kind != document.KindArray:
		v.Wrong(document.CodeType, "%s takes an array of values, found %s", op, kind)
		return nil
	case positive == opIn:
		items := v.Elements(MaxValues)
		if len(items) == 0 {
			v.Wrong(document.CodeInvalid, "%s needs at least one value", op)
		}
		values := make([]event.Value, 0, len(items))
		for _, item := range items {
			if one, ok := value(item); ok {
				values = append(values, one)
			}
		}
		return values
	case kind == document.KindArray:
		v.Wrong(document.CodeType, "%s takes one value; for several, use in or not-in", op)
		return nil
	}
	one, ok := value(v)
	if !ok {
		return nil
	}
	switch positive {
	case opStarts, opEnds, opContains:
		if one.Kind() != event.String {
			v.Wrong(document.CodeType, "%s takes a string, found %s", op, document.KindOf(v.Raw))
		}
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		if one.Kind() == event.Bool {
			v.Wrong(document.CodeType, "%s takes a number or a string, found a boolean", op)
		}
	}
	return []event.Value{one}
}
