package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/scenarios/engine"
)

// progress tells how a run goes: on a terminal one line that is rewritten, elsewhere a line for each phase and fault.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	quiet    bool
	began    time.Time
	phase    string
	drawn    time.Time
	dirty    bool // a rewritten line is on the screen
}

// redrawEvery keeps a fast simulation from spending its time on the terminal.
const redrawEvery = 100 * time.Millisecond

func newProgress(c *cli, quiet bool) *progress {
	return &progress{w: c.talk, terminal: c.terminal, quiet: quiet, began: time.Now()}
}

func (p *progress) update(pr engine.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr.Phase != "" {
		p.phase = pr.Phase
	}
	if p.quiet {
		return
	}
	if pr.Note != "" && !p.terminal {
		fmt.Fprintf(p.w, "%7s  %s\n", clock(pr.At), pr.Note)
		return
	}
	now := time.Now()
	if !p.terminal || now.Sub(p.drawn) < redrawEvery {
		return
	}
	p.drawn, p.dirty = now, true
	speed := float64(pr.At) / float64(max(now.Sub(p.began), time.Millisecond))
	fmt.Fprintf(p.w, "\r\x1b[K%s %s/%s  %-10s  offered %d  accepted %d  failed %d  in flight %d  %.4gx real time",
		bar(pr.At, pr.Total), clock(pr.At), clock(pr.Total), p.phase, pr.Offered, pr.Accepted, pr.Failed, pr.InFlight, speed)
}

// done clears the rewritten line.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dirty {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func clock(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

func bar(at, total time.Duration) string {
	const width = 20
	filled := 0
	if total > 0 {
		filled = int(min(1, float64(at)/float64(total)) * width)
	}
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", width-filled) + "]"
}
