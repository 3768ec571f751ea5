package query

import "github.com/ratel-sim/ratel/system/query/exec"

// SetRoom gives the node other room for states.
func (s *Server) SetRoom(bytes int64) { s.room = exec.NewRoom(bytes) }

// Used is how much of it is in use.
func (s *Server) Used() int64 { return s.room.Used() }
