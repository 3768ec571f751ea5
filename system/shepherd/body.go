package shepherd

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
)

// maxBody bounds a batch's body, both as it is sent and decompressed. It is what libhoney keeps to.
const maxBody = 5_000_000

// readStep is how much room a body takes before it is known to be longer.
const readStep = 64 << 10

// Windows of zstd decoders, which is about the memory they take. Client libraries ask for the small one; the large one
// is what RFC 8878 recommends to support.
const (
	windowSmall = 1 << 20
	windowLarge = 8 << 20
)

func tooLarge() error {
	return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body is too large: at most %d bytes are allowed, also when decompressed.", maxBody)}
}

func noRoom() error { return &problem{http.StatusTooManyRequests, textShed} }

// decompress returns the body as it was before its Content-Encoding. What is read from the wire is bounded too. done
// gives back what decompressing took.
func (h *handler) decompress(r *http.Request) (source io.Reader, done func(), err error) {
	wire := io.LimitReader(r.Body, maxBody+1)
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return wire, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(wire)
		if err != nil {
			return nil, nil, damaged("gzip", err)
		}
		return &decoded{z, "gzip"}, func() {}, nil
	case "zstd":
		return h.zstd(bufio.NewReaderSize(wire, 4096))
	default:
		return nil, nil, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q is not supported: send gzip, zstd or none", shorten(encoding))}
	}
}

func (h *handler) zstd(wire *bufio.Reader) (source io.Reader, done func(), err error) {
	// A short body gives an error here and what there is.
	start, _ := wire.Peek(zstd.HeaderMaxSize)
	var head zstd.Header
	if err := head.Decode(start); err != nil {
		return nil, nil, damaged("zstd", err)
	}
	if head.HasFCS && head.FrameContentSize > maxBody {
		return nil, nil, tooLarge()
	}
	pool, window := &h.small, uint64(windowSmall)
	// A single segment has no window: its content is.
	if head.WindowSize > windowSmall || head.SingleSegment && head.FrameContentSize > windowSmall {
		pool, window = &h.large, windowLarge
	}
	room := load{bytes: int64(window)}
	if !h.s.reserve(room) {
		return nil, nil, noRoom()
	}
	z, ok := pool.Get().(*zstd.Decoder)
	if ok {
		err = z.Reset(wire)
	} else {
		// A concurrency of one decodes on the calling task, without goroutines.
		z, err = zstd.NewReader(wire, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(window))
	}
	if err != nil {
		h.s.release(room)
		return nil, nil, damaged("zstd", err)
	}
	return &decoded{z, "zstd"}, func() {
		if z.Reset(nil) == nil {
			pool.Put(z)
		}
		h.s.release(room)
	}, nil
}

func shorten(s string) string { return s[:min(len(s), 64)] }

func damaged(encoding string, err error) error {
	return &problem{http.StatusBadRequest, event.ErrMalformed.Error() + " It is not " + encoding + ": " + err.Error()}
}

// decoded gives a decompressor's errors a text for clients.
type decoded struct {
	r        io.Reader
	encoding string
}

func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = damaged(d.encoding, err)
	}
	return n, err
}

// read reads a body to its end, taking room before it takes memory. expect is its probable size; it need not be right.
func (h *handler) read(source io.Reader, expect int64) (body []byte, room load, err error) {
	grow := func(to int) bool {
		more := load{bytes: int64(to - cap(body))}
		if !h.s.reserve(more) {
			return false
		}
		room.bytes += more.bytes
		grown := make([]byte, len(body), to)
		copy(grown, body)
		body = grown
		return true
	}
	// One byte more than expected, so that the end is seen without growing.
	for step := int(min(max(expect+1, 512), readStep)); ; step = min(2*cap(body), maxBody+1) {
		if len(body) == cap(body) && !grow(max(step, len(body)+1)) {
			return nil, room, noRoom()
		}
		for len(body) < cap(body) {
			n, err := source.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			var p *problem
			switch {
			case len(body) > maxBody:
				return nil, room, tooLarge()
			case err == io.EOF: //nolint:errorlint // as above
				return body, room, nil
			case errors.As(err, &p):
				return nil, room, err
			case err != nil:
				return nil, room, &problem{http.StatusBadRequest, event.ErrMalformed.Error() + " It ended early: " + err.Error()}
			}
		}
	}
}
