package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// shape is how a member's value is written in JSON and in protobuf.
type shape uint8

// Shapes.
const (
	asString   shape = iota
	asHex            // an ID
	asBase64         // bytes
	asBool           // varint
	asInt            // a varint, int64, as a number or a string
	asUint           // a varint, uint64, likewise
	asUint32         // a varint
	asZigzag         // sint32
	asFixed32        // uint32
	asFixed64        // uint64, as a number or a string
	asSFixed64       // int64, likewise
	asDouble         // a number, or "NaN", "Infinity", "-Infinity"
	asEnum           // a number, or a name
	asMessage
)

// member is a field of a message.
type member struct {
	name  string // in lowerCamelCase
	field uint32
	shape shape
	of    message // of asMessage
	many  bool    // an array
}

// message names a type of message.
type message uint8

const (
	tracesMessage message = iota
	logsMessage
	metricsMessage
	resourceSpans
	resourceLogs
	resourceMetrics
	scopeSpans
	scopeLogs
	scopeMetrics
	resourceMessage
	scopeMessage
	keyValueMessage
	anyMessage
	listMessage
	mapMessage
	spanMessage
	statusMessage
	spanEventMessage
	linkMessage
	logMessage
	metricMessage
	numbersMessage
	histogramsMessage
	exponentialsMessage
	summariesMessage
	numberMessage
	histogramMessage
	exponentialMessage
	bucketsMessage
	summaryMessage
	quantileMessage
)

// members are the fields of each message that are of use: all others are passed over.
var members = [...][]member{
	tracesMessage:   {{"resourceSpans", 1, asMessage, resourceSpans, true}},
	logsMessage:     {{"resourceLogs", 1, asMessage, resourceLogs, true}},
	metricsMessage:  {{"resourceMetrics", 1, asMessage, resourceMetrics, true}},
	resourceSpans:   {{"resource", 1, asMessage, resourceMessage, false}, {"scopeSpans", 2, asMessage, scopeSpans, true}},
	resourceLogs:    {{"resource", 1, asMessage, resourceMessage, false}, {"scopeLogs", 2, asMessage, scopeLogs, true}},
	resourceMetrics: {{"resource", 1, asMessage, resourceMessage, false}, {"scopeMetrics", 2, asMessage, scopeMetrics, true}},
	scopeSpans:      {{"scope", 1, asMessage, scopeMessage, false}, {"spans", 2, asMessage, spanMessage, true}},
	scopeLogs:       {{"scope", 1, asMessage, scopeMessage, false}, {"logRecords", 2, asMessage, logMessage, true}},
	scopeMetrics:    {{"scope", 1, asMessage, scopeMessage, false}, {"metrics", 2, asMessage, metricMessage, true}},
	resourceMessage: {{"attributes", 1, asMessage, keyValueMessage, true}},
	scopeMessage: {{"name", 1, asString, 0, false}, {"version", 2, asString, 0, false},
		{"attributes", 3, asMessage, keyValueMessage, true}},
	keyValueMessage: {{"key", 1, asString, 0, false}, {"value", 2, asMessage, anyMessage, false}},
	anyMessage: {{"stringValue", anyString, asString, 0, false}, {"intValue", anyInt, asInt, 0, false}, {"boolValue", anyBool, asBool, 0, false},
		{"doubleValue", anyDouble, asDouble, 0, false}, {"arrayValue", anyArray, asMessage, listMessage, false},
		{"kvlistValue", anyMap, asMessage, mapMessage, false}, {"bytesValue", anyBytes, asBase64, 0, false}},
	listMessage: {{"values", 1, asMessage, anyMessage, true}},
	mapMessage:  {{"values", 1, asMessage, keyValueMessage, true}},
	spanMessage: {{"traceId", 1, asHex, 0, false}, {"spanId", 2, asHex, 0, false}, {"parentSpanId", 4, asHex, 0, false}, {"name", 5, asString, 0, false},
		{"kind", 6, asEnum, 0, false}, {"startTimeUnixNano", 7, asFixed64, 0, false}, {"endTimeUnixNano", 8, asFixed64, 0, false},
		{"attributes", 9, asMessage, keyValueMessage, true}, {"events", 11, asMessage, spanEventMessage, true},
		{"links", 13, asMessage, linkMessage, true}, {"status", 15, asMessage, statusMessage, false}},
	statusMessage:    {{"message", 2, asString, 0, false}, {"code", 3, asEnum, 0, false}},
	spanEventMessage: {{"timeUnixNano", 1, asFixed64, 0, false}, {"name", 2, asString, 0, false}, {"attributes", 3, asMessage, keyValueMessage, true}},
	linkMessage:      {{"traceId", 1, asHex, 0, false}, {"spanId", 2, asHex, 0, false}, {"attributes", 4, asMessage, keyValueMessage, true}},
	logMessage: {{"timeUnixNano", 1, asFixed64, 0, false}, {"severityNumber", 2, asEnum, 0, false}, {"severityText", 3, asString, 0, false},
		{"body", 5, asMessage, anyMessage, false}, {"attributes", 6, asMessage, keyValueMessage, true}, {"flags", 8, asFixed32, 0, false},
		{"traceId", 9, asHex, 0, false}, {"spanId", 10, asHex, 0, false}, {"observedTimeUnixNano", 11, asFixed64, 0, false}, {"eventName", 12, asString, 0, false}},
	metricMessage: {{"name", 1, asString, 0, false}, {"gauge", 5, asMessage, numbersMessage, false}, {"sum", 7, asMessage, numbersMessage, false},
		{"histogram", 9, asMessage, histogramsMessage, false}, {"exponentialHistogram", 10, asMessage, exponentialsMessage, false},
		{"summary", 11, asMessage, summariesMessage, false}},
	numbersMessage:      {{"dataPoints", 1, asMessage, numberMessage, true}},
	histogramsMessage:   {{"dataPoints", 1, asMessage, histogramMessage, true}},
	exponentialsMessage: {{"dataPoints", 1, asMessage, exponentialMessage, true}},
	summariesMessage:    {{"dataPoints", 1, asMessage, summaryMessage, true}},
	numberMessage: {{"timeUnixNano", 3, asFixed64, 0, false}, {"asDouble", 4, asDouble, 0, false}, {"asInt", 6, asSFixed64, 0, false},
		{"attributes", 7, asMessage, keyValueMessage, true}, {"flags", 8, asUint32, 0, false}},
	histogramMessage: {{"timeUnixNano", 3, asFixed64, 0, false}, {"count", 4, asFixed64, 0, false}, {"sum", 5, asDouble, 0, false},
		{"bucketCounts", 6, asFixed64, 0, true}, {"explicitBounds", 7, asDouble, 0, true}, {"attributes", 9, asMessage, keyValueMessage, true},
		{"flags", 10, asUint32, 0, false}, {"min", 11, asDouble, 0, false}, {"max", 12, asDouble, 0, false}},
	exponentialMessage: {{"attributes", 1, asMessage, keyValueMessage, true}, {"timeUnixNano", 3, asFixed64, 0, false}, {"count", 4, asFixed64, 0, false},
		{"sum", 5, asDouble, 0, false}, {"scale", 6, asZigzag, 0, false}, {"zeroCount", 7, asFixed64, 0, false}, {"positive", 8, asMessage, bucketsMessage, false},
		{"negative", 9, asMessage, bucketsMessage, false}, {"flags", 10, asUint32, 0, false}, {"min", 12, asDouble, 0, false}, {"max", 13, asDouble, 0, false}},
	bucketsMessage: {{"offset", 1, asZigzag, 0, false}, {"bucketCounts", 2, asUint, 0, true}},
	summaryMessage: {{"timeUnixNano", 3, asFixed64, 0, false}, {"count", 4, asFixed64, 0, false}, {"sum", 5, asDouble, 0, false},
		{"quantileValues", 6, asMessage, quantileMessage, true}, {"attributes", 7, asMessage, keyValueMessage, true}, {"flags", 8, asUint32, 0, false}},
	quantileMessage: {{"quantile", 1, asDouble, 0, false}, {"value", 2, asDouble, 0, false}},
}

// transcoder writes JSON as protobuf.
type transcoder struct {
	*event.JSON
	out     []byte
	need    func(int) bool
	noRoom  bool
	problem string
}

// maxJSONDepth bounds how deep messages nest in each other.
const maxJSONDepth = 2000

// transcode writes a request in JSON as protobuf. need has memory granted.
func transcode(signal Signal, body []byte, need func(int) bool) (string, error) {
	if !need(2 * len(body)) { // text with escapes is copied
		return "", event.ErrNoRoom
	}
	t := &transcoder{JSON: event.NewJSON(string(body)), need: need}
	ok := t.message(message(signal), 0) && t.End()
	switch {
	case t.noRoom || !need(len(t.out)):
		return "", event.ErrNoRoom
	case t.problem != "":
		return "", fmt.Errorf("%w: %s", ErrMalformed, t.problem)
	case !ok:
		return "", fmt.Errorf("%w: it is not JSON near byte %d of %d", ErrMalformed, t.Offset(), len(body))
	}
	return string(t.out), nil
}

func (t *transcoder) fail(format string, args ...any) bool {
	if t.problem == "" {
		t.problem = fmt.Sprintf(format, args...)
	}
	return false
}

// grow makes room for n bytes more.
func (t *transcoder) grow(n int) bool {
	if len(t.out)+n <= cap(t.out) {
		return true
	}
	size := max(2*cap(t.out), len(t.out)+n, 4096)
	if !t.need(size) {
		t.noRoom = true
		return false
	}
	t.out = append(make([]byte, 0, size), t.out...)
	return true
}

// message reads an object as a message of the given type.
func (t *transcoder) message(of message, depth int) bool {
	if depth > maxJSONDepth {
		return t.fail("it has more than %d levels of nesting", maxJSONDepth)
	}
	if t.Peek() != '{' {
		return t.fail("expected an object near byte %d", t.Offset())
	}
	return t.Object(func(name string) bool {
		m := find(of, name)
		switch {
		case m == nil:
			return t.Skip() && t.problem == ""
		case t.Peek() == 'n':
			return t.Literal("null")
		case !m.many:
			return t.value(m, depth)
		case t.Peek() != '[':
			return t.fail("%s: expected an array near byte %d", m.name, t.Offset())
		}
		return t.Array(func() bool { return t.value(m, depth) })
	})
}

// find finds a member by its name, in lowerCamelCase or as protobuf spells it.
func find(of message, name string) *member {
	list := members[of]
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	if !strings.Contains(name, "_") {
		return nil
	}
	for i := range list {
		if snake(list[i].name, name) {
			return &list[i]
		}
	}
	return nil
}

// snake says whether name is camel in snake_case.
func snake(camel, name string) bool {
	at := 0
	for i := range len(camel) {
		c := camel[i]
		if c >= 'A' && c <= 'Z' {
			if at >= len(name) || name[at] != '_' {
				return false
			}
			at++
			c |= 0x20
		}
		if at >= len(name) || name[at] != c {
			return false
		}
		at++
	}
	return at == len(name)
}

// tag writes a field's tag.
func (t *transcoder) tag(m *member, kind uint32) {
	t.out = binary.AppendUvarint(t.out, uint64(m.field<<3|kind))
}

// text writes a field of bytes.
func (t *transcoder) text(m *member, s string) bool {
	if !t.grow(len(s) + 12) {
		return false
	}
	t.tag(m, typeBytes)
	t.out = append(binary.AppendUvarint(t.out, uint64(len(s))), s...)
	return true
}

// value reads one value of a member.
func (t *transcoder) value(m *member, depth int) bool {
	if m.shape == asMessage {
		return t.nested(m, depth)
	}
	c := t.Peek()
	if m.shape == asBool {
		if !t.grow(4) {
			return false
		}
		t.tag(m, typeVarint)
		if c == 't' {
			t.out = append(t.out, 1)
			return t.Literal("true")
		}
		t.out = append(t.out, 0)
		return t.Literal("false")
	}
	var s string
	var ok bool
	quoted := c == '"'
	if quoted {
		s, ok = t.Str()
	} else {
		s, ok = t.Number()
	}
	if !ok {
		return false
	}
	if quoted || m.shape > asBase64 {
		ok = t.scalar(m, s)
	} else {
		ok = false
	}
	if !ok && !t.noRoom {
		return t.fail("%s cannot be %q", m.name, s[:min(len(s), 64)])
	}
	return ok
}

// lengthBytes is how long a message's length is written, since it is not known before: a varint may be longer than it need.
const lengthBytes = 4

func (t *transcoder) nested(m *member, depth int) bool {
	if !t.grow(12) {
		return false
	}
	t.tag(m, typeBytes)
	at := len(t.out)
	t.out = append(t.out, make([]byte, lengthBytes)...)
	if !t.message(m.of, depth+1) {
		return false
	}
	n := len(t.out) - at - lengthBytes
	for i := range lengthBytes {
		t.out[at+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	t.out[at+lengthBytes-1] &= 0x7f
	return n < 1<<(7*lengthBytes)
}

// scalar writes a number's or a string's text as what the member is.
func (t *transcoder) scalar(m *member, s string) bool {
	switch m.shape {
	case asString:
		return t.text(m, s)
	case asHex:
		raw, err := hex.DecodeString(s)
		return err == nil && t.text(m, string(raw))
	case asBase64:
		s = strings.TrimRight(s, "=")
		encoding := base64.RawStdEncoding
		if strings.ContainsAny(s, "-_") {
			encoding = base64.RawURLEncoding
		}
		raw, err := encoding.DecodeString(s)
		return err == nil && t.text(m, string(raw))
	}
	if !t.grow(24) {
		return false
	}
	switch m.shape {
	case asDouble:
		f, ok := double(s)
		t.tag(m, typeFixed64)
		t.out = binary.LittleEndian.AppendUint64(t.out, math.Float64bits(f))
		return ok
	case asFixed64, asSFixed64:
		n, ok := integer(s, m.shape == asSFixed64)
		t.tag(m, typeFixed64)
		t.out = binary.LittleEndian.AppendUint64(t.out, n)
		return ok
	case asFixed32:
		n, ok := integer(s, false)
		t.tag(m, typeFixed32)
		t.out = binary.LittleEndian.AppendUint32(t.out, uint32(n))
		return ok && n <= math.MaxUint32
	case asZigzag:
		n, ok := integer(s, true)
		t.tag(m, typeVarint)
		t.out = binary.AppendUvarint(t.out, n<<1^uint64(int64(n)>>63))
		return ok && int64(n) == int64(int32(n))
	case asEnum:
		if n, ok := enum(s); ok {
			s = n
		}
	}
	n, ok := integer(s, m.shape == asInt || m.shape == asEnum)
	t.tag(m, typeVarint)
	t.out = binary.AppendUvarint(t.out, n)
	switch m.shape {
	case asEnum:
		return ok && int64(n) == int64(int32(n))
	case asUint32:
		return ok && n <= math.MaxUint32
	}
	return ok
}

// double reads a number, or what protobuf's JSON says for one that JSON cannot.
func double(s string) (float64, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// integer reads a whole number of 64 bits, signed or not.
func integer(s string, signed bool) (uint64, bool) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, !signed || n <= math.MaxInt64
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return uint64(n), signed || n >= 0
	}
	// 1e3 and 1.0 are whole, too.
	f, err := strconv.ParseFloat(s, 64)
	return uint64(int64(f)), err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && (signed || f >= 0)
}

// enum is the number of an enum's value that is given by its name.
func enum(name string) (string, bool) {
	for _, e := range [...]struct {
		prefix string
		values string
	}{
		{"SPAN_KIND_", "UNSPECIFIED INTERNAL SERVER CLIENT PRODUCER CONSUMER"},
		{"STATUS_CODE_", "UNSET OK ERROR"},
		{"SEVERITY_NUMBER_", "UNSPECIFIED TRACE TRACE2 TRACE3 TRACE4 DEBUG DEBUG2 DEBUG3 DEBUG4 INFO INFO2 INFO3 INFO4 " +
			"WARN WARN2 WARN3 WARN4 ERROR ERROR2 ERROR3 ERROR4 FATAL FATAL2 FATAL3 FATAL4"},
	} {
		value, ok := strings.CutPrefix(name, e.prefix)
		if !ok {
			continue
		}
		for i, v := range strings.Fields(e.values) {
			if v == value {
				return strconv.Itoa(i), true
			}
		}
	}
	return "", false
}
