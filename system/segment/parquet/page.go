package parquet

import "fmt"

// Page is a page's header.
type Page struct {
	Dictionary bool  // it holds the chunk's dictionary, else data
	Raw, Size  int32 // bytes before and after compression
	Values     int32 // nulls included
	Encoding   Encoding
}

// Page types, numbered as in the format.
const (
	pageData       = 0
	pageDictionary = 2
)

// AppendPage appends a page's header.
func AppendPage(dst []byte, p *Page) []byte {
	w := thriftWriter{b: dst}
	kind, field := int32(pageData), int16(5)
	if p.Dictionary {
		kind, field = pageDictionary, 7
	}
	w.i32(1, kind)
	w.i32(2, p.Raw)
	w.i32(3, p.Size)
	w.field(field, wireStruct)
	outer := w.begin()
	w.i32(1, p.Values)
	w.i32(2, int32(p.Encoding))
	if !p.Dictionary {
		w.i32(3, int32(EncodingRLE)) // definition levels
		w.i32(4, int32(EncodingRLE)) // repetition levels
	}
	w.end(outer)
	w.b = append(w.b, 0)
	return w.b
}

// ParsePage reads a page's header and says how long it is; the page's Size bytes follow. Errors: ErrFormat, also if they
// do not lie in data.
func ParsePage(data []byte) (p Page, n int, err error) {
	r := thriftReader{b: data}
	kind := int32(-1)
	r.structure(func(id int16, wire byte) {
		switch id {
		case 1:
			kind = r.i32(wire)
		case 2:
			p.Raw = r.i32(wire)
		case 3:
			p.Size = r.i32(wire)
		case 5, 7:
			p.Dictionary = id == 7
			r.structure(func(id int16, wire byte) {
				switch id {
				case 1:
					p.Values = r.i32(wire)
				case 2:
					p.Encoding = Encoding(r.i32(wire))
				default:
					r.skip(wire, 0)
				}
			})
		default:
			r.skip(wire, 0)
		}
	})
	if r.bad || kind != pageData && kind != pageDictionary || p.Dictionary != (kind == pageDictionary) {
		return Page{}, 0, fmt.Errorf("%w: a page's header cannot be read", ErrFormat)
	}
	if p.Raw < 0 || p.Size < 0 || p.Values < 0 || int(p.Size) > len(data)-r.i {
		return Page{}, 0, fmt.Errorf("%w: a page of %d bytes and %d values, with %d bytes left", ErrFormat, p.Size, p.Values, len(data)-r.i)
	}
	return p, r.i, nil
}
