package shepherd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
)

// defaultMaxBody is Config.MaxBodyBytes if that says nothing.
const defaultMaxBody = 5_000_000

// readStep is how much room a body takes before it is known to be longer.
const readStep = 64 << 10

// Windows of zstd decoders, which is about the memory they take. Client libraries ask for the small one; the large one
// is what RFC 8878 recommends to support.
const (
	windowSmall = 1 << 20
	windowLarge = 8 << 20
)

func (in *intake) tooLarge() error {
	return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body is too large: at most %d bytes are allowed, also when decompressed.", in.max)}
}

// gzipWindow is about what a gzip decoder takes.
const gzipWindow = 48 << 10

// intake is one request's body on its way in. What it takes is held by the request's team.
type intake struct {
	h      *handler
	t      *tenant
	max    int64 // bytes of the body
	held   int64 // bytes
	paid   int64 // of those, reserved ahead and not used yet
	met    verdict
	memory *memory
}

// memory is what a request's body and its events take. It is used for one request after another: what is written into memory that
// a core has in its cache costs less, and the garbage collector has less to do.
type memory struct {
	body    []byte
	decoded event.Memory
	events  []event.Event // those that go into Kafka
}

// keptMemory is the most that a request may have taken, in bytes, for its memory to be kept.
const keptMemory = 1 << 20

// prepay reserves n bytes ahead for what is about to be used. Without it, under overload, every request would take a part
// of what it needs and none would come to its end.
func (in *intake) prepay(n int64) bool {
	if v := in.h.s.reserve(in.t, load{bytes: n}); v != room {
		in.met = v
		return false
	}
	in.held += n
	in.paid += n
	return true
}

// reserve takes room for n bytes, or none.
func (in *intake) reserve(n int64) bool {
	if more := n - in.paid; more > 0 && !in.prepay(more) {
		return false
	}
	in.paid -= n
	return true
}

func (in *intake) release(n int64) {
	in.h.s.release(in.t, load{bytes: n})
	in.held -= n
}

// refund gives back what was reserved ahead and not needed.
func (in *intake) refund() {
	in.release(in.paid)
	in.paid = 0
}

func (h *handler) newIntake(t *tenant) *intake {
	m, ok := h.memory.Get().(*memory)
	if !ok {
		m = new(memory)
	}
	return &intake{h: h, t: t, max: h.s.cfg.maxBody(), memory: m}
}

// gather is where up to n events are put together.
func (in *intake) gather(n int) []event.Event {
	m := in.memory
	m.events = slices.Grow(m.events[:0], n)[:n]
	return m.events[:0]
}

// forget leaves what the request took to the next one: nothing that was decoded is used any more. What was granted for it is held
// until the end. It is called as soon as the events are encoded, because waiting for Kafka is most of a request's time: few
// requests then take turns at memory that stays in a core's cache, however many of them wait.
func (in *intake) forget() {
	m := in.memory
	if in.memory = nil; m == nil || in.held > keptMemory {
		return
	}
	m.decoded.Clear()
	clear(m.events)
	in.h.memory.Put(m)
}

// end gives back what the request took, and counts what it was refused.
func (in *intake) end() {
	in.forget()
	if in.met != room {
		in.h.s.shed(in.t, 1, in.met)
	}
	in.release(in.held)
}

// body is a request's body as it comes: length is -1 if it is not known before.
type body struct {
	io.Reader
	length   int64
	encoding string // "" is none
}

func bodyOf(r *http.Request) body {
	b := body{r.Body, r.ContentLength, strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))}
	if b.encoding == "identity" {
		b.encoding = ""
	}
	return b
}

func (in *intake) noRoom() error { return &problem{http.StatusTooManyRequests, in.met.text()} }

// decompress returns the body as it was before its encoding. What is read from the wire is bounded too. done gives back
// what decompressing took.
func (in *intake) decompress(from body) (source io.Reader, done func(), err error) {
	wire := &bounded{from, in.max, in.tooLarge()}
	switch from.encoding {
	case "":
		return wire, func() {}, nil
	case "gzip":
		if !in.reserve(gzipWindow) {
			return nil, nil, in.noRoom()
		}
		z, ok := in.h.gzip.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		if err := z.Reset(wire); err != nil {
			return nil, nil, damaged("gzip", err)
		}
		return &decoded{z, "gzip"}, func() {
			in.h.gzip.Put(z)
			in.release(gzipWindow)
		}, nil
	case "zstd":
		return in.zstd(bufio.NewReaderSize(wire, 4096))
	default:
		return nil, nil, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q is not supported: send gzip, zstd or none", shorten(from.encoding))}
	}
}

func (in *intake) zstd(wire *bufio.Reader) (source io.Reader, done func(), err error) {
	// A short body gives an error here and what there is.
	start, _ := wire.Peek(zstd.HeaderMaxSize)
	var head zstd.Header
	if err := head.Decode(start); err != nil {
		return nil, nil, damaged("zstd", err)
	}
	if head.HasFCS && head.FrameContentSize > uint64(in.max) {
		return nil, nil, in.tooLarge()
	}
	pool, window := &in.h.small, uint64(windowSmall)
	// A single segment has no window: its content is.
	if head.WindowSize > windowSmall || head.SingleSegment && head.FrameContentSize > windowSmall {
		pool, window = &in.h.large, windowLarge
	}
	if !in.reserve(int64(window)) {
		return nil, nil, in.noRoom()
	}
	z, ok := pool.Get().(*zstd.Decoder)
	if ok {
		err = z.Reset(wire)
	} else {
		// A concurrency of one decodes on the calling task, without goroutines.
		z, err = zstd.NewReader(wire, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(window))
	}
	if err != nil {
		return nil, nil, damaged("zstd", err)
	}
	return &decoded{z, "zstd"}, func() {
		if z.Reset(nil) == nil {
			pool.Put(z)
		}
		in.release(int64(window))
	}, nil
}

func shorten(s string) string { return s[:min(len(s), 64)] }

func damaged(encoding string, err error) error {
	return &problem{http.StatusBadRequest, event.ErrMalformed.Error() + " It is not " + encoding + ": " + err.Error()}
}

// bounded reads at most left bytes: that more follow is the error over, also to a decompressor, to which an end would be damage.
type bounded struct {
	io.Reader
	left int64
	over error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.over
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return n - 1, b.over
	}
	return n, err
}

// decoded gives a decompressor's errors a text for clients.
type decoded struct {
	r        io.Reader
	encoding string
}

func (d *decoded) Read(to []byte) (int, error) {
	n, err := d.r.Read(to)
	var p *problem
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // io.Reader returns io.EOF itself
	case errors.As(err, &p):
		err = p // of the body as it was sent
	default:
		err = damaged(d.encoding, err)
	}
	return n, err
}

// read reads a body to its end, taking room before it takes memory. expect is its probable size; it need not be right.
func (in *intake) read(source io.Reader, expect int64) (body []byte, err error) {
	grow := func(to int) bool {
		if !in.reserve(int64(to - cap(body))) {
			return false
		}
		m := in.memory
		if cap(m.body) < to {
			m.body = make([]byte, to)
			copy(m.body, body)
		}
		body = m.body[:len(body):to]
		return true
	}
	// One byte more than expected, so that the end is seen without growing.
	for step := int(min(max(expect+1, 512), readStep)); ; step = min(2*cap(body), int(in.max)+1) {
		if len(body) == cap(body) && !grow(max(step, len(body)+1)) {
			return nil, in.noRoom()
		}
		for len(body) < cap(body) {
			n, err := source.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			var p *problem
			switch {
			case int64(len(body)) > in.max:
				return nil, in.tooLarge()
			case err == io.EOF: //nolint:errorlint // as above
				return body, nil
			case errors.As(err, &p):
				return nil, err
			case err != nil:
				return nil, &problem{http.StatusBadRequest, event.ErrMalformed.Error() + " It ended early: " + err.Error()}
			}
		}
	}
}

// open reads a body as it was before its encoding.
func (in *intake) open(from body) ([]byte, error) {
	if from.length > in.max {
		return nil, in.tooLarge()
	}
	source, done, err := in.decompress(from)
	if err != nil {
		return nil, err
	}
	defer done()
	expect := from.length
	switch {
	case expect < 0:
		expect = readStep
	case from.encoding != "":
		expect = readStep
		if !in.prepay(unpacking * from.length) {
			return nil, in.noRoom()
		}
	case !in.prepay((1 + decoding) * expect):
		return nil, in.noRoom()
	}
	return in.read(source, expect)
}

// What is reserved ahead, as multiples: of a compressed body, for what it unpacks to; and of a body, for decoding it: the
// fields of events with many.
const (
	unpacking = 4
	decoding  = 3
)

// decode reads a body and decodes it. What is decoded is of use until the intake forgets it.
func decode[T any](in *intake, from body, how func(body []byte, o event.Options) (T, error)) (decoded T, err error) {
	body, err := in.open(from)
	if err != nil {
		return decoded, err
	}
	if ahead := decoding*int64(len(body)) - in.paid; ahead > 0 && !in.prepay(ahead) {
		return decoded, in.noRoom()
	}
	if decoded, err = how(body, event.Options{Now: in.h.s.r.Now(), Reserve: in.reserve, Memory: &in.memory.decoded}); errors.Is(err, event.ErrNoRoom) {
		err = in.noRoom()
	}
	in.refund()
	return decoded, err
}

// mediaOf is a request's Content-Type without its parameters, in lower case; what cannot be read is returned as it is.
func mediaOf(r *http.Request) string {
	kind := r.Header.Get("Content-Type")
	if kind == typeJSON { // as nearly all send it
		return kind
	}
	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return kind
	}
	return media
}
