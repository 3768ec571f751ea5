package spec

import (
	"encoding/json"

	"github.com/ratel-sim/ratel/system/event"
)

// filters reads the filters of a query or of a calculation, and how they are combined.
func (p *parser) filters(field string, keys map[string]json.RawMessage) (list []Filter, or bool) {
	combination, _ := p.choice(join(field, "filter_combination"), keys["filter_combination"], combinations[0], combinations)
	field = join(field, "filters")
	for i, item := range p.array(field, keys["filters"], MaxFilters) {
		if f, ok := p.filter(at(field, i), item); ok {
			list = append(list, f)
		}
	}
	return list, combination == combinations[1]
}

func (p *parser) filter(field string, raw json.RawMessage) (f Filter, ok bool) {
	keys, _ := p.object(field, raw, filterKeys)
	if keys == nil {
		return f, false
	}
	before := len(p.list)
	if keys["column"] == nil {
		p.add(join(field, "column"), CodeMissing, "a filter needs a column")
	} else {
		f.Column, _ = p.str(join(field, "column"), keys["column"])
	}
	if keys["op"] == nil {
		p.add(join(field, "op"), CodeMissing, "a filter needs an operator, such as =")
	} else {
		f.Op, _ = p.choice(join(field, "op"), keys["op"], "", FilterOps())
	}
	if f.Op != "" {
		f.Values = p.operands(join(field, "value"), f.Op, keys["value"])
	}
	return f, len(p.list) == before
}

// operands reads what an operator compares with.
func (p *parser) operands(field, op string, raw json.RawMessage) []event.Value {
	positive, _ := Positive(op)
	switch {
	case positive == opExists:
		if raw != nil {
			p.add(field, CodeInvalid, "%s takes no value", op)
		}
		return nil
	case raw == nil:
		p.add(field, CodeMissing, "%s needs a value; to ask for a column without one, use does-not-exist", op)
		return nil
	case positive == opIn:
		if kindOf(raw) != "an array" {
			p.add(field, CodeType, "%s takes an array of values, found %s", op, kindOf(raw))
			return nil
		}
		items := p.array(field, raw, MaxValues)
		if len(items) == 0 {
			p.add(field, CodeInvalid, "%s needs at least one value", op)
		}
		values := make([]event.Value, 0, len(items))
		for i, item := range items {
			if v, ok := p.value(at(field, i), item); ok {
				values = append(values, v)
			}
		}
		return values
	}
	if kindOf(raw) == "an array" {
		p.add(field, CodeType, "%s takes one value; for several, use in or not-in", op)
		return nil
	}
	v, ok := p.value(field, raw)
	if !ok {
		return nil
	}
	switch positive {
	case opStarts, opEnds, opContains:
		if v.Kind() != event.String {
			p.add(field, CodeType, "%s takes a string, found %s", op, kindOf(raw))
		}
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		if v.Kind() == event.Bool {
			p.add(field, CodeType, "%s takes a number or a string, found a boolean", op)
		}
	}
	return []event.Value{v}
}
