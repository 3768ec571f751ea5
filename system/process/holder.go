package process

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/retriever"
)

// Names of a retriever's HTTP interface. It is for the harness and for other roles, not for clients.
const (
	pathHealthz  = "/healthz"
	pathStatus   = "/status"
	pathHoldings = "/holdings"
	headerCursor = "X-Ratel-Cursor"
	headerDone   = "X-Ratel-Done"
	typePage     = "application/x-ratel-holdings"
)

const (
	defaultPage  = 4096
	maxPage      = 100_000
	maxPageBytes = 64 << 20 // of an answer that a client accepts
)

// HolderHandler serves a retriever over HTTP: GET /status (JSON), GET /holdings?cursor=N&limit=N (records of chunks, see
// appendPage) and GET /healthz.
func HolderHandler(h retriever.Holder) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathHealthz, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // the asker has gone if this fails
	})
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, r *http.Request) {
		st, err := h.Status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(st)
	})
	mux.HandleFunc("GET "+pathHoldings, func(w http.ResponseWriter, r *http.Request) {
		cursor, err1 := number(r.URL.Query(), "cursor", 0, 1<<62)
		limit, err2 := number(r.URL.Query(), "limit", defaultPage, maxPage)
		if err := errors.Join(err1, err2); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		page, err := h.Holdings(r.Context(), cursor, int(limit))
		switch {
		case errors.Is(err, retriever.ErrCursor):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", typePage)
			w.Header().Set(headerCursor, strconv.FormatInt(page.Cursor, 10))
			w.Header().Set(headerDone, strconv.FormatBool(page.Done))
			_, _ = w.Write(appendPage(nil, page.Held))
		}
	})
	return mux
}

// number reads a query's number between 0 and most.
func number(q url.Values, name string, fallback, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s=%q: expected a number from 0 to %d", name, text, most)
	}
	return n, nil
}

// appendPage encodes a page: for each run of events of one Kafka record and dataset, the record's offset and the length
// of a chunk as uvarints, then the chunk, which carries its checksum.
func appendPage(dst []byte, held []retriever.Held) []byte {
	var chunk []byte
	var events []event.Event
	for i := 0; i < len(held); {
		first := &held[i]
		events = events[:0]
		for ; i < len(held) && held[i].Offset == first.Offset && held[i].Dataset == first.Dataset; i++ {
			events = append(events, held[i].Event)
		}
		chunk = event.AppendChunk(chunk[:0], first.Dataset, events)
		dst = binary.AppendUvarint(dst, uint64(first.Offset))
		dst = binary.AppendUvarint(dst, uint64(len(chunk)))
		dst = append(dst, chunk...)
	}
	return dst
}

// parsePage reads what appendPage has written.
func parsePage(data []byte) ([]retriever.Held, error) {
	var held []retriever.Held
	for len(data) > 0 {
		offset, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, errors.New("a page of holdings is cut off within an offset")
		}
		data = data[n:]
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, fmt.Errorf("a page of holdings is cut off within the record at offset %d", offset)
		}
		chunk, err := event.DecodeChunk(data[n : n+int(size)])
		if err != nil {
			return nil, fmt.Errorf("a page of holdings, the record at offset %d: %w", offset, err)
		}
		for _, e := range chunk.Events {
			held = append(held, retriever.Held{Offset: int64(offset), Dataset: chunk.Dataset, Event: e})
		}
		data = data[n+int(size):]
	}
	return held, nil
}

// HolderClient is a retriever reached over HTTP.
type HolderClient struct {
	base      string
	transport http.RoundTripper
}

var _ retriever.Holder = (*HolderClient)(nil)

// NewHolderClient makes a client of the retriever at base, such as "http://127.0.0.1:8080".
func NewHolderClient(base string, transport http.RoundTripper) *HolderClient {
	return &HolderClient{base: strings.TrimRight(base, "/"), transport: transport}
}

// Status implements retriever.Holder.
func (c *HolderClient) Status(ctx context.Context) (retriever.Status, error) {
	var st retriever.Status
	body, _, err := c.get(ctx, pathStatus)
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return retriever.Status{}, fmt.Errorf("GET %s%s: not a status: %w", c.base, pathStatus, err)
	}
	return st, nil
}

// Holdings implements retriever.Holder.
func (c *HolderClient) Holdings(ctx context.Context, cursor int64, limit int) (retriever.Page, error) {
	path := fmt.Sprintf("%s?cursor=%d&limit=%d", pathHoldings, cursor, limit)
	body, header, err := c.get(ctx, path)
	if err != nil {
		return retriever.Page{}, err
	}
	held, err := parsePage(body)
	next, err1 := strconv.ParseInt(header.Get(headerCursor), 10, 64)
	done, err2 := strconv.ParseBool(header.Get(headerDone))
	if err := errors.Join(err, err1, err2); err != nil {
		return retriever.Page{}, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	return retriever.Page{Held: held, Cursor: next, Done: done}, nil
}

func (c *HolderClient) get(ctx context.Context, path string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPageBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	case len(body) > maxPageBytes:
		return nil, nil, fmt.Errorf("GET %s%s: the answer is larger than %d bytes", c.base, path, maxPageBytes)
	case res.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("GET %s%s: HTTP %d: %s", c.base, path, res.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, res.Header, nil
}
