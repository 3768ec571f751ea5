package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

func store(t *testing.T, endpoint string) *Store {
	t.Helper()
	s, err := New(Options{Endpoint: endpoint, Bucket: "bucket", AccessKey: "key", SecretKey: "secret", Backoff: time.Microsecond, AttemptTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// failure is an answer with an S3 error.
func failure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
}

// TestOutcomes: what each answer means for a write and for a read, and how often each is asked.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	drop := func(w http.ResponseWriter) {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close()
		}
	}
	answer := func(status int, code string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { failure(w, status, code) }
	}
	for _, c := range []struct {
		name          string
		answer        func(http.ResponseWriter)
		is            []error
		isNot         []error
		writes, reads int64 // attempts
	}{
		{"missing", answer(404, "NoSuchKey"), []error{port.ErrNoBlob}, []error{port.ErrUnknown}, 1, 1},
		{"precondition", answer(412, "PreconditionFailed"), []error{port.ErrPrecondition}, []error{port.ErrUnknown}, 1, 1},
		{"throttle", answer(503, "SlowDown"), []error{port.ErrSlowDown, port.ErrRefused}, []error{port.ErrUnknown}, 3, 3},
		{"conflict", answer(409, "ConditionalRequestConflict"), []error{port.ErrSlowDown, port.ErrRefused}, []error{port.ErrUnknown}, 3, 3},
		{"bad request", answer(400, "InvalidPart"), []error{port.ErrRefused}, []error{port.ErrUnknown, port.ErrSlowDown}, 1, 1},
		{"no bucket", answer(404, "NoSuchBucket"), []error{port.ErrRefused}, []error{port.ErrUnknown, port.ErrNoBlob}, 1, 1},
		{"internal error", answer(500, "InternalError"), []error{port.ErrUnknown}, []error{port.ErrRefused}, 1, 3},
		{"lost connection", drop, []error{port.ErrUnknown}, []error{port.ErrRefused}, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.answer(w)
			}))
			defer srv.Close()
			s := store(t, srv.URL)
			check := func(what string, err error, attempts int64) {
				for _, want := range c.is {
					if !errors.Is(err, want) {
						t.Errorf("%s: %v, expected it to match %q", what, err, want)
					}
				}
				for _, not := range c.isNot {
					if errors.Is(err, not) {
						t.Errorf("%s: %v matches %q", what, err, not)
					}
				}
				// Go's transport itself repeats a read whose connection broke, so there may be more.
				if n := asked.Swap(0); n != attempts && !(c.name == "lost connection" && what == "get" && n >= attempts) {
					t.Errorf("%s: %d attempts, expected %d", what, n, attempts)
				}
			}
			_, err := s.Put(t.Context(), "k", []byte("data"), port.Condition{IfAbsent: true})
			check("put", err, c.writes)
			_, _, err = s.Get(t.Context(), "k")
			check("get", err, c.reads)
		})
	}
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := store(t, "http://"+at)
	if _, err := s.Put(t.Context(), "k", nil, port.Condition{}); !errors.Is(err, port.ErrRefused) || errors.Is(err, port.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ended, "k", nil, port.Condition{}); !errors.Is(err, port.ErrRefused) || !errors.Is(err, context.Canceled) {
		t.Errorf("put with an ended context: %v", err)
	}
}

// TestSilentServer: a server that does not answer costs no more than the caller's deadline, and the outcome is unknown.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	defer srv.Close()
	defer close(done)
	s := store(t, srv.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Put(ctx, "k", []byte("x"), port.Condition{}); !errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrRefused) {
		t.Errorf("put: %v", err)
	}
}

// TestCutOffObject: an object that ends early is never returned.
func TestCutOffObject(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 50))
	}))
	defer srv.Close()
	if data, _, err := store(t, srv.URL).Get(t.Context(), "k"); err == nil {
		t.Errorf("%d bytes of a cut-off object", len(data))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Endpoint: "http://127.0.0.1:1"}); err == nil {
		t.Error("options without a bucket and keys were taken")
	}
}
