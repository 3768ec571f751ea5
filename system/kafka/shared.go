package kafka

import (
	"sync"

	"github.com/IBM/sarama"
)

// sharing is the client that shared readers have together: one connection to each broker, on which one fetch at a time
// is under way.
type sharing struct {
	mu     sync.Mutex
	client sarama.Client
	closed bool
	broken int // how many times a connection was closed because a fetch had failed
}

// open returns the client. The first reader's configuration is the client's.
func (s *sharing) open(seeds []string, c *sarama.Config) (sarama.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.client == nil {
		client, err := sarama.NewClient(seeds, c)
		if err != nil {
			return nil, err
		}
		s.client = client
	}
	return s.client, nil
}

func (s *sharing) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// closures says how often a connection has been closed so far. A reader with a client of its own has no sharing.
func (s *sharing) closures() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// first reports whether a reader whose fetch has failed is to close the connection: of several whose fetches failed
// together only the first, or the others would close the connection that has been opened since. One that is left open by
// mistake fails the next fetch, too, and is closed then.
func (s *sharing) first(before int) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != before {
		return false
	}
	s.broken++
	return true
}
