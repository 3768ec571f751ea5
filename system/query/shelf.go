package query

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// keepQuery and keepResult are how long stored queries and finished results are kept at least, while there is room.
	keepQuery  = time.Hour
	keepResult = time.Minute
	// maxShelfBytes bounds the memory of what is stored.
	maxShelfBytes = 256 << 20
	resultFor     = 10 * time.Minute
)

// storedQuery is a specification that was created and can be run.
type storedQuery struct {
	team    int64
	dataset string // as in the request
	spec    []byte
}

// storedResult is a query that runs or has run.
type storedResult struct {
	team    int64
	dataset string
	query   string // its ID
	answer  *Answer
	columns int // breakdowns among the columns
}

// item is anything on the shelf.
type item[T any] struct {
	id    string
	value T
	until time.Time // it may be dropped after it; zero: not at all yet
	bytes int64
}

// shelf keeps queries and results for clients that poll, within bounds.
type shelf struct {
	most int
	name string

	mu      sync.Mutex
	next    uint64 // for IDs
	queries []*item[storedQuery]
	results []*item[storedResult]
	bytes   int64
	running int64
}

func newShelf(most int, name string) *shelf { return &shelf{most: most, name: name} }

func (h *shelf) count() (queries, results int, running int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queries), len(h.results), h.running
}

// id makes an identifier that this node does not make again, also after it was started again.
func (h *shelf) id(kind string, now time.Time) string {
	h.next++
	seed := binary.BigEndian.AppendUint64([]byte(kind+h.name), uint64(now.UnixNano()))
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(seed, h.next))
	text := new(big.Int).SetBytes(sum[:8]).Text(62)
	return strings.Repeat("0", max(11-len(text), 0)) + text
}

// putQuery stores a query; false if there is no room.
func (h *shelf) putQuery(q storedQuery, now time.Time) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := int64(len(q.spec) + len(q.dataset) + 200)
	h.drop(now)
	if len(h.queries) >= h.most || h.bytes+size > maxShelfBytes {
		return "", false
	}
	it := &item[storedQuery]{id: h.id("query", now), value: q, until: now.Add(keepQuery), bytes: size}
	h.queries = append(h.queries, it)
	h.bytes += size
	return it.id, true
}

func (h *shelf) query(id string) (storedQuery, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range h.queries {
		if it.id == id {
			return it.value, true
		}
	}
	return storedQuery{}, false
}

// putResult makes room for a result that is to come; false if there is none.
func (h *shelf) putResult(r storedResult, now time.Time) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(now)
	if len(h.results) >= h.most || h.bytes > maxShelfBytes {
		return "", false
	}
	it := &item[storedResult]{id: h.id("result", now), value: r, bytes: 500}
	h.results = append(h.results, it)
	h.bytes += it.bytes
	h.running++
	return it.id, true
}

// finish stores the answer of a result.
func (h *shelf) finish(id string, a *Answer, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range h.results {
		if it.id == id && it.value.answer == nil {
			size := a.Result.Size()
			if h.bytes+size > maxShelfBytes {
				h.drop(now)
			}
			if h.bytes+size > maxShelfBytes {
				a, size = refusal(http.StatusServiceUnavailable, "the results that are kept for other clients leave no room for this one of %d MiB: try again later, or ask for less", size>>20), 0
			}
			it.value.answer, it.until = a, now.Add(keepResult)
			it.bytes += size
			h.bytes += size
			h.running--
		}
	}
}

func (h *shelf) result(id string) (storedResult, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range h.results {
		if it.id == id {
			return it.value, true
		}
	}
	return storedResult{}, false
}

// drop makes room, if there is too little, by what is old enough, the oldest first. h.mu is held.
func (h *shelf) drop(now time.Time) {
	for len(h.results) >= h.most || h.bytes > maxShelfBytes/2 {
		n := len(h.results)
		h.results = dropOldest(h, h.results, now)
		if len(h.results) == n {
			break
		}
	}
	for len(h.queries) >= h.most || h.bytes > maxShelfBytes/2 {
		n := len(h.queries)
		h.queries = dropOldest(h, h.queries, now)
		if len(h.queries) == n {
			break
		}
	}
}

func dropOldest[T any](h *shelf, items []*item[T], now time.Time) []*item[T] {
	for i, it := range items {
		if !it.until.IsZero() && it.until.Before(now) {
			h.bytes -= it.bytes
			return append(items[:i], items[i+1:]...)
		}
	}
	return items
}

// tidy drops results that nobody polls for any more.
func (h *shelf) tidy(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		n := len(h.results)
		h.results = dropOldest(h, h.results, now.Add(keepResult-resultFor))
		if len(h.results) == n {
			return
		}
	}
}
