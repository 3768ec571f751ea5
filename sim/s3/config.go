package s3

import (
	"strings"
	"time"

	"github.com/ratel-sim/ratel/sim/host"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// Config describes the server. Zero fields stand for the defaults given with them, which follow what was measured on the
// server of the containers world: puts of 1 KiB, 64 KiB and 8 MiB took 3.4, 3.1 to 5.5 and 61 ms, gets of 1 KiB and 8 MiB
// 1.0 and 19 ms, one after the other.
type Config struct {
	Node string // its network node; default "s3"
	Zone string
	// Boot is the mean time from the start of the process until it listens. Default 1 s.
	Boot time.Duration
	// A request takes RequestCost of the processor (default 300 µs), one that writes also WriteCost (1 ms), one after the
	// other, and ByteIn and ByteOut for each byte that comes and goes (6 ns and 2.5 ns). What is written then takes Disk
	// to be durable, all at the same time (1.5 ms).
	RequestCost, WriteCost time.Duration
	ByteIn, ByteOut        float64 // nanoseconds
	Disk                   time.Duration
	// MinPart is the least size of every part of an upload but the last. Default 5 MiB, as S3 has it.
	MinPart int64
	Events  port.Events
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.Node, "s3")
	orDefault(&c.Boot, time.Second)
	orDefault(&c.RequestCost, 300*time.Microsecond)
	orDefault(&c.WriteCost, time.Millisecond)
	orDefault(&c.ByteIn, 6)
	orDefault(&c.ByteOut, 2.5)
	orDefault(&c.Disk, 1500*time.Microsecond)
	orDefault(&c.MinPart, 5<<20)
	if c.Events == nil {
		c.Events = port.Discard{}
	}
	return c
}

const serviceS3 = "s3"

// Server is a simulated object store with one bucket. Its methods must be called from the simulation.
type Server struct {
	*host.Host
	cfg     Config
	store   *store
	clients int
}

// New puts the server on the network. It does not run until Start.
func New(s *sched.Sim, n *simnet.Network, cfg Config) *Server {
	srv := &Server{cfg: cfg.withDefaults()}
	srv.store = newStore(srv.cfg.MinPart)
	srv.Host = host.New(s, n, host.Config{
		Name: srv.cfg.Node, Zone: srv.cfg.Zone, Boot: srv.cfg.Boot, Begin: srv.listen, Ended: func() {},
	})
	return srv
}

// Wipe kills the server if it runs and empties its disk: an empty bucket is there when it starts again.
func (s *Server) Wipe() {
	s.Kill()
	s.store = newStore(s.cfg.MinPart)
}

// ProbeService is a service on which the server answers one message with another while it runs: for health checks.
func (s *Server) ProbeService() string { return host.ProbeService }

// Objects counts the objects and their bytes, for observers.
func (s *Server) Objects() (n int, bytes int64) {
	for _, key := range s.store.keys {
		bytes += int64(len(s.store.objects[key].data))
	}
	return len(s.store.keys), bytes
}

// Changed names the objects whose bytes are no longer those that were put. What is read shares the store's memory, so a
// reader that changes what it got changes the object: tests ask for this at the end of a run.
func (s *Server) Changed() []string {
	var changed []string
	for _, key := range s.store.keys {
		if o := s.store.objects[key]; !strings.HasPrefix(o.etag, etag(o.data)) { // that of an upload goes on
			changed = append(changed, key)
		}
	}
	return changed
}

// listen serves requests: each connection carries one at a time, as HTTP/1.1 does.
func (s *Server) listen(p *sched.Process) {
	s.Node().Listen(serviceS3, func(conn *simnet.Conn) {
		conn.OnMessage(func(m simnet.Message) {
			r := m.Body.(*request)
			cost, disk := s.cfg.RequestCost+time.Duration(float64(len(r.data))*s.cfg.ByteIn), time.Duration(0)
			if r.op.writes() {
				cost, disk = cost+s.cfg.WriteCost, s.cfg.Disk
			}
			s.Node().Serve(cost, func() {
				p.After(disk+s.Slow(), func() { s.serve(conn, r) })
			})
		})
	})
}

// serve is the moment at which a request takes effect, durably and for everyone.
func (s *Server) serve(conn *simnet.Conn, r *request) {
	switch s.Fate() {
	case host.Refused:
		conn.Send((&reply{code: codeSlowDown}).message())
		return
	case host.Lost:
		s.store.do(r)
		if s.Rand().Uint64()&1 == 0 {
			conn.Send((&reply{code: codeInternal}).message())
		} else {
			conn.Close()
		}
		return
	case host.Served:
	}
	answer := s.store.do(r)
	if n := len(answer.data); n > 0 {
		s.Node().Serve(time.Duration(float64(n)*s.cfg.ByteOut), func() { conn.Send(answer.message()) })
		return
	}
	conn.Send(answer.message())
}
