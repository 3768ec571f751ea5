package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// How the client is set up: as system/s3 sets up the SDK's.
const (
	maxConns       = 32
	maxAttempts    = 3
	dialTimeout    = time.Second
	attemptTimeout = 10 * time.Second
	idleTimeout    = 30 * time.Second
	backoffBase    = 100 * time.Millisecond // before attempt n+1: uniform below base * 2^n
	maxPage        = 1000                   // S3 lists at most so many at a time
)

// client implements port.Blobs for one process.
type client struct {
	srv   *Server
	node  *simnet.Node
	p     *sched.Process
	rand  *rand.Rand
	conns *rt.Semaphore
	idle  []*conn
}

// Client returns the Blobs port of process p on the given network node.
func (s *Server) Client(node *simnet.Node, p *sched.Process) port.Blobs {
	s.clients++
	return &client{
		srv: s, node: node, p: p, conns: rt.NewSemaphore(p, maxConns),
		rand: s.Sim().Rand(fmt.Sprintf("s3/client/%s/%d", node.Name(), s.clients)),
	}
}

// ask performs one operation, over several attempts if need be.
func (c *client) ask(ctx context.Context, what string, r *request) (*reply, error) {
	rt.Check(c.p)
	fail := func(err error) (*reply, error) { return nil, fmt.Errorf("s3: %s %s: %w", what, r.key, err) }
	if err := ctx.Err(); err != nil {
		return fail(fmt.Errorf("%w (%w)", err, port.ErrRefused))
	}
	r.sum = xxhash.Sum64(r.data)
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, r)
		if err == nil {
			err = a.err()
		}
		if err == nil {
			return a, nil
		}
		again := errors.Is(err, errNotSent) || errors.Is(err, port.ErrSlowDown) || !r.op.writes() && errors.Is(err, port.ErrUnknown)
		if !again || attempt == maxAttempts || ctx.Err() != nil {
			return fail(err)
		}
		pause := time.Duration(c.rand.Float64() * float64(backoffBase<<attempt))
		if ended := c.p.Sleep(ctx, pause); ended != nil {
			return fail(fmt.Errorf("%w, given up between two attempts after: %w", ended, err))
		}
	}
}

// err maps an answer's code to the port's errors.
func (r *reply) err() error {
	switch r.code {
	case codeOK:
		return nil
	case codeNoSuchKey, codeNoSuchUpload:
		return fmt.Errorf("%v: %w", r.code, port.ErrNoBlob)
	case codePrecondition:
		return fmt.Errorf("%v: %w", r.code, port.ErrPrecondition)
	case codeSlowDown:
		return fmt.Errorf("%v: %w: %w", r.code, port.ErrSlowDown, port.ErrRefused)
	case codeInvalidRange:
		return errRange
	case codeInternal:
		return fmt.Errorf("%v: %w", r.code, port.ErrUnknown)
	default:
		return fmt.Errorf("%v: %w", r.code, errors.Join(errBadRequest, port.ErrRefused))
	}
}

// errRange: the object ends before the range that was asked for.
var errRange = errors.New("InvalidRange")

// errBadRequest: the server refuses what it is asked as such.
var errBadRequest = errors.New("bad request")

// Put implements [port.Blobs].
func (c *client) Put(ctx context.Context, key string, data []byte, cond port.Condition) (port.BlobInfo, error) {
	a, err := c.ask(ctx, "put", &request{op: opPut, key: key, data: bytes.Clone(data), cond: cond})
	if err != nil {
		return port.BlobInfo{}, err
	}
	return a.info, nil
}

// Get implements [port.Blobs].
func (c *client) Get(ctx context.Context, key string) ([]byte, port.BlobInfo, error) {
	a, err := c.ask(ctx, "get", &request{op: opGet, key: key})
	if err != nil {
		return nil, port.BlobInfo{}, err
	}
	return a.data, a.info, nil
}

// GetRange implements [port.Blobs].
func (c *client) GetRange(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if off < 0 || length <= 0 {
		return nil, fmt.Errorf("s3: get %s: range of %d bytes from %d: expected at least one byte from 0 or later (%w)", key, length, off, port.ErrRefused)
	}
	a, err := c.ask(ctx, "get", &request{op: opGet, key: key, ranged: true, off: off, length: length})
	if errors.Is(err, errRange) {
		return nil, nil // the object ends before
	}
	if err != nil {
		return nil, err
	}
	return a.data, nil
}

// Head implements [port.Blobs].
func (c *client) Head(ctx context.Context, key string) (port.BlobInfo, error) {
	a, err := c.ask(ctx, "head", &request{op: opHead, key: key})
	if err != nil {
		return port.BlobInfo{}, err
	}
	return a.info, nil
}

// List implements [port.Blobs].
func (c *client) List(ctx context.Context, prefix, after string, limit int) ([]port.BlobInfo, bool, error) {
	if limit <= 0 {
		return nil, false, fmt.Errorf("s3: list %s: limit %d: expected at least 1 (%w)", prefix, limit, port.ErrRefused)
	}
	a, err := c.ask(ctx, "list", &request{op: opList, key: prefix, after: after, limit: min(limit, maxPage)})
	if err != nil {
		return nil, false, err
	}
	return a.page, a.more, nil
}

// Delete implements [port.Blobs].
func (c *client) Delete(ctx context.Context, key string) error {
	_, err := c.ask(ctx, "delete", &request{op: opDelete, key: key})
	return err
}

// BeginUpload implements [port.Blobs].
func (c *client) BeginUpload(ctx context.Context, key string) (string, error) {
	a, err := c.ask(ctx, "begin upload of", &request{op: opBegin, key: key})
	if err != nil {
		return "", err
	}
	return a.upload, nil
}

// UploadPart implements [port.Blobs].
func (c *client) UploadPart(ctx context.Context, key, upload string, number int32, data []byte) (port.Part, error) {
	a, err := c.ask(ctx, "upload a part of", &request{op: opPart, key: key, upload: upload, number: number, data: bytes.Clone(data)})
	if err != nil {
		return port.Part{}, err
	}
	return port.Part{Number: number, ETag: a.info.ETag}, nil
}

// CompleteUpload implements [port.Blobs].
func (c *client) CompleteUpload(ctx context.Context, key, upload string, parts []port.Part, cond port.Condition) (port.BlobInfo, error) {
	a, err := c.ask(ctx, "complete upload of", &request{op: opComplete, key: key, upload: upload, parts: slices.Clone(parts), cond: cond})
	if err != nil {
		return port.BlobInfo{}, err
	}
	return a.info, nil
}

// AbortUpload implements [port.Blobs].
func (c *client) AbortUpload(ctx context.Context, key, upload string) error {
	_, err := c.ask(ctx, "abort upload of", &request{op: opAbort, key: key, upload: upload})
	return err
}
