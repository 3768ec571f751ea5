package event

import "encoding/binary"

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
	_, _, ok := d.dataset()
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
		if !d.sameNames {
			if !d.views(views) {
				return d.damage("field")
			}
		} else if !d.values(views) {
			return d.damage("value")
		}
		visit(views, d.sameNames)
	}
	if fields != 0 || d.i != len(d.b) {
		return d.damage("end")
	}
	return nil
}

// views reads names and values in place.
func (d *chunkReader) views(fields []FieldView) bool {
	for j := range fields {
		name, ok := d.str()
		if !ok {
			return false
		}
		fields[j].Name = d.b[name.from:name.to]
		if !d.values(fields[j : j+1]) {
			return false
		}
	}
	return true
}

// values reads values in place. It accepts exactly what value does.
func (d *chunkReader) values(fields []FieldView) bool {
	b, i := d.b, d.i
	for j := range fields {
		f := &fields[j]
		if i >= len(b) {
			return false
		}
		tag := b[i]
		i++
		switch tag {
		case tagString, tagInt:
			var n uint64
			if i < len(b) && b[i] < 0x80 { // one byte is by far the most frequent case
				n = uint64(b[i])
				i++
			} else {
				var ok bool
				d.i = i
				if n, ok = d.longUvarint(); !ok {
					return false
				}
				i = d.i
			}
			if tag == tagInt {
				f.Kind, f.num = Int, n>>1^-(n&1)
				continue
			}
			if n > uint64(len(b)-i) {
				return false
			}
			f.Kind, f.Text = String, b[i:i+int(n)]
			i += int(n)
		case tagWide, tagFloat:
			if len(b)-i < 8 {
				return false
			}
			f.Kind, f.num = Int, binary.LittleEndian.Uint64(b[i:])
			if tag == tagFloat {
				f.Kind = Float
			}
			i += 8
		case tagFalse, tagTrue:
			f.Kind, f.num = Bool, uint64(tag-tagFalse)
		case tagNull:
			f.Kind, f.num = Null, 0
		default:
			return false
		}
	}
	d.i = i
	return true
}
