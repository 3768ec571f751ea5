package port

import (
	"context"
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// Errors of the Coordination port. They are certain: the operation was refused by the ensemble.
var (
	ErrNoNode     = errors.New("no such znode")
	ErrNodeExists = errors.New("znode exists")
	ErrBadVersion = errors.New("znode version does not match")
	ErrNotEmpty   = errors.New("znode has children")
	// ErrSessionExpired: the session is gone, and with it its ephemeral znodes. It may have been learned late.
	ErrSessionExpired = errors.New("session expired")
)

// A lost connection is reported as an error matching [ErrUnknown]: the operation may or may not have taken effect.

// SessionState is what the client knows of its session.
type SessionState int8

// Session states.
const (
	// SessionConnected: the session is live.
	SessionConnected SessionState = iota + 1
	// SessionDisconnected: the connection is lost; the session may still live or may have expired. Suspend what relies on it.
	SessionDisconnected
	// SessionExpired: the session is gone for good. Nothing more will be sent.
	SessionExpired
)

// String implements fmt.Stringer.
func (s SessionState) String() string {
	switch s {
	case SessionConnected:
		return "connected"
	case SessionDisconnected:
		return "disconnected"
	case SessionExpired:
		return "expired"
	}
	return "unknown session state"
}

// Stat is a znode's metadata.
type Stat struct {
	Czxid          int64 // transaction that created it: strictly increasing over re-creations, hence a fencing token
	Mzxid          int64
	Version        int32
	NumChildren    int32
	EphemeralOwner int64
}

// CreateMode says what kind of znode Create makes.
type CreateMode int8

// Create modes.
const (
	Persistent CreateMode = iota
	Ephemeral
	PersistentSequential
	EphemeralSequential
)

// WatchEvent says that something a one-shot watch was set on may have changed, or that the watch can say no more
// (Err set: connection or session lost), so look again.
type WatchEvent struct {
	Path string
	Err  error
}

// Coordination opens ZooKeeper sessions.
type Coordination interface {
	// Connect opens a session; it keeps trying all servers until ctx ends.
	Connect(ctx context.Context, timeout time.Duration) (Session, error)
}

// Session is one ZooKeeper session. Paths are absolute. Parents are not created implicitly.
type Session interface {
	ID() int64
	// States delivers every change of state, in order. The first is SessionConnected. It is closed after SessionExpired or Close.
	States() *rt.Queue[SessionState]
	Create(ctx context.Context, path string, data []byte, mode CreateMode) (created string, err error)
	Get(ctx context.Context, path string) ([]byte, Stat, error)
	GetW(ctx context.Context, path string) ([]byte, Stat, *rt.Future[WatchEvent], error)
	// Exists returns ErrNoNode if the znode is not there.
	Exists(ctx context.Context, path string) (Stat, error)
	// ExistsW sets the watch whether or not the znode is there; ErrNoNode comes with a usable future.
	ExistsW(ctx context.Context, path string) (Stat, *rt.Future[WatchEvent], error)
	// Set and Delete compare version unless it is -1.
	Set(ctx context.Context, path string, data []byte, version int32) (Stat, error)
	Delete(ctx context.Context, path string, version int32) error
	// Children returns the names, sorted.
	Children(ctx context.Context, path string) ([]string, error)
	ChildrenW(ctx context.Context, path string) ([]string, *rt.Future[WatchEvent], error)
	// Sync makes later reads of this session see everything committed before it.
	Sync(ctx context.Context, path string) error
	// Close ends the session at once; its ephemeral znodes go.
	Close(ctx context.Context) error
}
