// Package netfilter cuts a container off from chosen others by dropping packets in the container's own network
// namespace. It adds chains of its own and removes exactly these; it never touches the nat table, where Docker's name
// server lives.
package netfilter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Namespace runs a program inside one container's network namespace.
type Namespace interface {
	// Exec runs argv with stdin and returns what it printed. A program that fails is an error with its output in it.
	Exec(ctx context.Context, stdin string, argv ...string) (string, error)
}

// Cut is one isolation: which peers' packets are dropped, in which direction as seen from the container.
type Cut struct {
	// Name tells cuts of one container apart: at most 16 of [a-z0-9].
	Name    string
	Peers   []netip.Addr
	In, Out bool
}

// Filter works on one network namespace. It is not safe for concurrent use.
type Filter struct {
	ns   Namespace
	tool string // "iptables-legacy" or "iptables", found at first use
}

// New returns a filter for a namespace.
func New(ns Namespace) *Filter { return &Filter{ns: ns} }

func (c Cut) chains() (in, out string) { return "RATEL-" + c.Name + "-I", "RATEL-" + c.Name + "-O" }

// Apply makes the cut. All its rules take effect at once.
func (f *Filter) Apply(ctx context.Context, c Cut) error {
	if len(c.Peers) == 0 || !c.In && !c.Out {
		return errors.New("a cut needs a peer and a direction")
	}
	in, out := c.chains()
	var b strings.Builder
	b.WriteString("*filter\n")
	if c.In {
		fmt.Fprintf(&b, ":%s - [0:0]\n", in)
	}
	if c.Out {
		fmt.Fprintf(&b, ":%s - [0:0]\n", out)
	}
	for _, p := range c.Peers {
		if c.In {
			fmt.Fprintf(&b, "-A %s -s %s -j DROP\n", in, p)
		}
		if c.Out {
			fmt.Fprintf(&b, "-A %s -d %s -j DROP\n", out, p)
		}
	}
	if c.In {
		fmt.Fprintf(&b, "-I INPUT 1 -j %s\n", in)
	}
	if c.Out {
		fmt.Fprintf(&b, "-I OUTPUT 1 -j %s\n", out)
	}
	b.WriteString("COMMIT\n")
	return f.restore(ctx, b.String())
}

// Remove takes the cut away again and returns how many packets it dropped in all.
func (f *Filter) Remove(ctx context.Context, c Cut) (dropped int64, err error) {
	if dropped, err = f.Dropped(ctx, c); err != nil {
		return 0, err
	}
	in, out := c.chains()
	var b strings.Builder
	b.WriteString("*filter\n")
	if c.In {
		fmt.Fprintf(&b, "-D INPUT -j %s\n-F %s\n-X %s\n", in, in, in)
	}
	if c.Out {
		fmt.Fprintf(&b, "-D OUTPUT -j %s\n-F %s\n-X %s\n", out, out, out)
	}
	b.WriteString("COMMIT\n")
	return dropped, f.restore(ctx, b.String())
}

// Dropped counts the packets that the cut has dropped so far.
func (f *Filter) Dropped(ctx context.Context, c Cut) (int64, error) {
	tool, err := f.find(ctx)
	if err != nil {
		return 0, err
	}
	in, out := c.chains()
	var total int64
	for _, chain := range []struct {
		name string
		used bool
	}{{in, c.In}, {out, c.Out}} {
		if !chain.used {
			continue
		}
		text, err := f.ns.Exec(ctx, "", tool, "-w", "5", "-nvxL", chain.name)
		if err != nil {
			return 0, fmt.Errorf("count dropped packets: %w", err)
		}
		n, err := sumPackets(text)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// sumPackets adds up the first column of a listing's rules.
func sumPackets(listing string) (int64, error) {
	var total int64
	rules := 0
	for line := range strings.Lines(listing) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "DROP" {
			continue
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the packet filter's counters: %q: %w", strings.TrimSpace(line), err)
		}
		total += n
		rules++
	}
	if rules == 0 {
		return 0, fmt.Errorf("the packet filter lists no rule of ours:\n%s", listing)
	}
	return total, nil
}

// Rules lists everything in the filter table, for tests that healing restores it exactly.
func (f *Filter) Rules(ctx context.Context) (string, error) {
	tool, err := f.find(ctx)
	if err != nil {
		return "", err
	}
	return f.ns.Exec(ctx, "", tool, "-w", "5", "-S")
}

func (f *Filter) restore(ctx context.Context, input string) error {
	tool, err := f.find(ctx)
	if err != nil {
		return err
	}
	if _, err := f.ns.Exec(ctx, input, tool+"-restore", "-w", "5", "--noflush"); err != nil {
		return fmt.Errorf("set the packet filter: %w", err)
	}
	return nil
}

// find prefers the legacy backend: rules made by one backend are not seen by the other, so one is chosen for good.
func (f *Filter) find(ctx context.Context) (string, error) {
	if f.tool != "" {
		return f.tool, nil
	}
	var errs []error
	for _, tool := range []string{"iptables-legacy", "iptables"} {
		if _, err := f.ns.Exec(ctx, "", tool, "-w", "5", "-S"); err != nil {
			errs = append(errs, err)
			continue
		}
		f.tool = tool
		return tool, nil
	}
	return "", fmt.Errorf("no usable packet filter: %w", errors.Join(errs...))
}
