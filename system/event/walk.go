package event

// FieldView is a field of a chunk whose bytes are still the chunk's: Name and Text point into it.
type FieldView struct {
	Name []byte
	Text []byte // of a String
	num  uint64
	Kind Kind
}

// Value is the field's value, with a text of its own.
func (f *FieldView) Value() Value {
	if f.Kind == String {
		return StringValue(string(f.Text))
	}
	return Value{kind: f.Kind, num: f.num}
}

// Number is the value of anything but a String, without a copy of the text.
func (f *FieldView) Number() Value { return Value{kind: f.Kind, num: f.num} }

// Walker reads chunks one after another without copying anything.
type Walker struct {
	fields []FieldView
}

// Walk calls visit with the fields of each event of a chunk, in order. It checks everything that [DecodeChunk] checks
// and returns the same errors; events before the damage have been visited then. fields is good until visit returns.
// sameNames says that the names are, in this order, those of the call before.
func (w *Walker) Walk(data []byte, visit func(fields []FieldView, sameNames bool)) error {
	body, err := openChunk(data)
	if err != nil {
		return err
	}
	d := chunkReader{b: body}
	_, ok := d.str()
	count, fields, counted := d.counts()
	if !ok || !counted {
		return d.damage("header")
	}
	for range count {
		if !d.event() || d.fields > fields {
			return d.damage("event")
		}
		fields -= d.fields
		for len(w.fields) < d.fields {
			w.fields = append(w.fields, FieldView{})
		}
		views := w.fields[:d.fields]
		for j := range views {
			f := &views[j]
			if !d.sameNames {
				name, ok := d.str()
				if !ok {
					return d.damage("field name")
				}
				f.Name = body[name.from:name.to]
			}
			if !d.view(f) {
				return d.damage("value")
			}
		}
		visit(views, d.sameNames)
	}
	if fields != 0 || d.i != len(d.b) {
		return d.damage("end")
	}
	return nil
}

// view reads a value in place. It accepts exactly what value does.
func (d *chunkReader) view(f *FieldView) bool {
	if d.i >= len(d.b) {
		return false
	}
	tag := d.b[d.i]
	d.i++
	ok := true
	switch tag {
	case tagString:
		var s span
		s, ok = d.str()
		f.Kind, f.num, f.Text = String, 0, d.b[s.from:s.to]
	case tagInt:
		var n uint64
		n, ok = d.uvarint()
		f.Kind, f.num = Int, n>>1^-(n&1)
	case tagWide:
		f.Kind = Int
		f.num, ok = d.fixed64()
	case tagFloat:
		f.Kind = Float
		f.num, ok = d.fixed64()
	case tagFalse, tagTrue:
		f.Kind, f.num = Bool, uint64(tag-tagFalse)
	case tagNull:
		f.Kind, f.num = Null, 0
	default:
		return false
	}
	return ok
}
