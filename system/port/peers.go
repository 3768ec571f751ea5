package port

import "context"

// Peers calls other roles of the pipeline. A request without an answer has an unknown outcome, unless the error matches
// ErrRefused: then it certainly never reached the other process.
type Peers interface {
	// Call sends a request to a service of a node and returns its reply. An error that the service itself returned is a *PeerError.
	Call(ctx context.Context, node, service string, request []byte) (reply []byte, err error)
}

// PeerServer is what a role answers to its peers with. Each call runs in a task of its own.
type PeerServer interface {
	ServePeer(ctx context.Context, service string, request []byte) (reply []byte, err error)
}

// PeerError is an error that a peer's service returned.
type PeerError struct {
	Node, Service, Text string
}

// Error implements error.
func (e *PeerError) Error() string { return e.Node + ": " + e.Service + ": " + e.Text }
