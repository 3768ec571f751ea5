package shepherd

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/otlp"
)

// frameHead is how many bytes come before a message of gRPC: whether it is compressed, and its length.
const frameHead = 5

// GRPC serves OTLP's TraceService, LogsService and MetricsService over gRPC, on a server that speaks HTTP/2. A message may
// be compressed with gzip or zstd. It is gRPC's wire protocol for calls with one message each way, on net/http: so a message
// takes memory only as it is read and only from the sender's share, which no server that hands over whole messages can
// promise; and the handler is the same in both worlds.
func GRPC(s *Shepherd) http.Handler { return &grpcHandler{newHandler(s)} }

type grpcHandler struct{ *handler }

// ServeHTTP implements http.Handler.
func (h *grpcHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.Header.Get("Content-Type")
	if r.Method != http.MethodPost || !strings.HasPrefix(kind, "application/grpc") {
		http.Error(w, "this is a gRPC server: POST with Content-Type application/grpc", http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	if format := strings.TrimPrefix(kind, "application/grpc"); format != "" && format != "+proto" && format[0] != ';' {
		h.failed(w, exportFailed(http.StatusUnsupportedMediaType, "unsupported content-type "+strconv.Quote(shorten(kind))+": send application/grpc"))
		return
	}
	signal, ok := signalOf(r.URL.Path, otlp.Signal.Method)
	if !ok {
		h.failed(w, export{code: otlp.Unimplemented, text: "unknown method " + shorten(r.URL.Path) + ": there is Export of OTLP's TraceService, LogsService and MetricsService"})
		return
	}
	ctx := r.Context()
	if text := r.Header.Get("Grpc-Timeout"); text != "" {
		d, ok := grpcTimeout(text)
		if !ok {
			h.failed(w, export{code: otlp.Internal, text: "malformed grpc-timeout " + strconv.Quote(shorten(text))})
			return
		}
		limited, cancel := h.s.r.WithTimeout(ctx, d)
		defer cancel()
		ctx = limited
	}
	e := h.export(ctx, r.Header, signal, otlp.Decode, func() (body, error) { return frame(r) })
	if e.status != http.StatusOK {
		h.failed(w, e)
		return
	}
	answer := otlp.AppendSuccess(make([]byte, frameHead, 64), e.rejected, e.text)
	binary.BigEndian.PutUint32(answer[1:], uint32(len(answer)-frameHead))
	_, _ = w.Write(answer)
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// failed answers with an error, which has no message.
func (h *grpcHandler) failed(w http.ResponseWriter, e export) {
	header := w.Header()
	if e.code == otlp.Unimplemented {
		header.Set("Grpc-Accept-Encoding", "gzip,zstd")
	}
	header.Set("Grpc-Status", strconv.Itoa(int(e.code)))
	header.Set("Grpc-Message", percent(e.text))
	if e.retry > 0 {
		header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(otlp.AppendStatus(nil, e.code, e.text, e.retry)))
	}
	w.WriteHeader(http.StatusOK)
}

// frame reads the head of the request's message, which is all of its body.
func frame(r *http.Request) (body, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return body{}, &problem{http.StatusBadRequest, "the request has no message: " + err.Error()}
	}
	b := body{length: int64(binary.BigEndian.Uint32(head[1:]))}
	b.Reader = &message{from: r.Body, left: b.length}
	switch {
	case head[0] > 1:
		return body{}, &problem{http.StatusBadRequest, fmt.Sprintf("the message's flag is %d, expected 0 or 1", head[0])}
	case head[0] == 1:
		if b.encoding = r.Header.Get("Grpc-Encoding"); b.encoding == "" || b.encoding == "identity" {
			return body{}, &problem{http.StatusBadRequest, "the message is compressed, but no grpc-encoding says how"}
		}
	}
	return b, nil
}

// message reads one message of a known length, which must be all of the body: of a second one, nothing would be answered.
type message struct {
	from io.Reader
	left int64
}

func (m *message) Read(p []byte) (int, error) {
	if m.left == 0 {
		var more [1]byte
		n, err := io.ReadFull(m.from, more[:])
		if n > 0 {
			return 0, &problem{http.StatusBadRequest, "the request has more than one message, or one that is longer than it says"}
		}
		return 0, err // io.EOF
	}
	n, err := m.from.Read(p[:min(int64(len(p)), m.left)])
	if m.left -= int64(n); errors.Is(err, io.EOF) && m.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// grpcTimeout reads a timeout: up to 8 digits and a unit.
func grpcTimeout(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0, false
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	return time.Duration(min(n, uint64(math.MaxInt64/unit))) * unit, true
}

// percent writes a text as grpc-message has it: what is not printable ASCII, and %, as %XX.
func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
