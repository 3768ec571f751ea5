package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/ratel-sim/ratel/scenarios/engine"
)

// progress tells how a run goes: on a terminal one line that is rewritten, elsewhere a line for each phase and fault.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	quiet    bool
	width    func() int // of the terminal, which may change while a run goes on
	began    time.Time
	phase    string
	note     string // the last fault or healing
	drawn    time.Time
	last     engine.Progress // what was drawn last; rates are since then
	rates    string
	dirty    bool // a rewritten line is on the screen
}

// redrawEvery keeps a fast simulation from spending its time on the terminal.
const redrawEvery = 100 * time.Millisecond

func newProgress(c *cli, quiet bool) *progress {
	return &progress{w: c.talk, terminal: c.terminal, quiet: quiet, width: talkWidth, began: time.Now()}
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
	if strings.HasPrefix(pr.Note, "phase ") {
		p.note = "" // the phase is in the line
	} else if pr.Note != "" {
		p.note = pr.Note
	}
	now := time.Now()
	if !p.terminal || now.Sub(p.drawn) < redrawEvery || now.Sub(p.began) < redrawEvery {
		return
	}
	p.drawn, p.dirty = now, true
	p.measure(pr)
	speed := float64(pr.At) / float64(now.Sub(p.began))
	line := fmt.Sprintf("%s %s/%s  %s  %s  failed %d  in flight %d  %sx real time", bar(pr.At, pr.Total), clock(pr.At), clock(pr.Total), p.phase,
		p.rates, pr.Failed, pr.InFlight, rounded(speed))
	if p.note != "" {
		line += "  " + p.note
	}
	if runes := []rune(line); len(runes) >= p.width() { // a line that wraps could not be rewritten
		line = string(runes[:max(0, p.width()-2)]) + "…"
	}
	fmt.Fprint(p.w, "\r\x1b[K", line)
}

// measure takes the rates since they were last taken, which is at least half a second of the run ago.
func (p *progress) measure(pr engine.Progress) {
	span := (pr.At - p.last.At).Seconds()
	if span < 0.5 {
		return
	}
	p.rates = fmt.Sprintf("offered %.0f/s  accepted %.0f/s", float64(pr.Offered-p.last.Offered)/span, float64(pr.Accepted-p.last.Accepted)/span)
	p.last = pr
}

// rounded writes a ratio with two digits that count: 0.97, 1.2, 109.
func rounded(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// talkWidth is how wide the terminal is to which stderr goes.
func talkWidth() int {
	if n, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && n > 0 {
		return n
	}
	return 80
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
