package process

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/ratel-sim/ratel/system/port"
)

// Announcer writes each event as one line of JSON, for whoever reads the process's standard output.
type Announcer struct {
	mu  sync.Mutex
	out io.Writer
}

// NewAnnouncer returns an announcer on out.
func NewAnnouncer(out io.Writer) *Announcer { return &Announcer{out: out} }

// Announce implements [port.Events].
func (a *Announcer) Announce(e port.Event) {
	line, err := json.Marshal(e)
	if err != nil { // strings and a number always marshal
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Nobody reads any more if this fails, and the role goes on all the same.
	_, _ = a.out.Write(append(line, '\n'))
}

// ParseEvent reads a line that an [Announcer] has written; ok is false for any other line.
func ParseEvent(line []byte) (e port.Event, ok bool) {
	if len(line) == 0 || line[0] != '{' {
		return e, false
	}
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Kind != ""
}
