package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
)

func (c *cli) webhooksCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "webhooks [NAME]",
		Short: "Receive and print the webhooks of the pipeline that 'ratel up' has started",
		Long: `Listen where the pipeline that is up reaches this machine, and print each webhook: when it came, its idempotence key, its body.
What was sent while nobody listened is tried again by the pipeline. Ctrl-C ends it.

` + exitCodesHelp,
		Example: "  ratel webhooks\n  ratel webhooks --count 1\n  ratel webhooks observer",
		Args:    atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := oneName(args)
			if err != nil {
				return err
			}
			if count < 0 {
				return usagef("--count %d: expected how many to receive, or 0 for all", count)
			}
			s, err := containers.IsUp(cmd.Context(), names[0], containers.Options{Log: c.talk})
			if err != nil {
				return upError(err)
			}
			if s.Topology.Triggers == 0 {
				return fail(exitWorld, fmt.Errorf("the world that is up has no trigger workers, so nothing sends webhooks"), "'ratel down', then 'ratel up' with \"triggers\" in its topology.")
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			p := &hookPrinter{out: c.out, left: count, enough: cancel}
			err = s.ReceiveWebhooks(ctx, p, func() { fmt.Fprintf(c.talk, "receiving webhooks for %s\n", s.Webhooks) })
			if err != nil {
				return upError(err)
			}
			return cmd.Context().Err()
		},
	}
	cmd.Flags().IntVar(&count, "count", 0, "end after so many; 0 means never")
	return cmd
}

// hookPrinter prints webhooks. It implements containers.Sink.
type hookPrinter struct {
	mu     sync.Mutex
	out    io.Writer
	left   int // how many more; 0 is without end
	enough func()
}

// Deliver implements containers.Sink.
func (p *hookPrinter) Deliver(key string, body []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		line.Reset()
		fmt.Fprintf(&line, "%q", body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.out, "%s %s %s\n", time.Now().UTC().Format(time.TimeOnly), key, line.Bytes())
	if p.left--; p.left == 0 {
		p.enough()
	}
	return err
}
