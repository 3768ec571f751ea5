package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/process"
)

// roleCommand is how a world starts a role's process. It is hidden: a person has no use for a single role.
func (c *cli) roleCommand() *cobra.Command {
	var (
		config string
		bugs   []string
	)
	cmd := &cobra.Command{
		Use: "role", Short: "Run one role of the pipeline as this process", Hidden: true, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := planted.Parse(bugs...)
			if err != nil {
				return usagef("--planted: %w", err)
			}
			cfg, err := process.Load(config)
			if err != nil {
				return fail(exitData, err, "")
			}
			log := slog.New(slog.NewTextHandler(c.talk, nil)).With("node", cfg.Name())
			if ids := set.IDs(); len(ids) > 0 {
				log.Warn("planted bugs are on", "bugs", fmt.Sprint(ids))
			}
			process.SetMemory(cfg)
			return process.Run(cmd.Context(), cfg, set, log)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the role's configuration, a JSON file")
	cmd.Flags().StringArrayVar(&bugs, "planted", nil, "plant a bug")
	return cmd
}

// reaperCommand is the process that cleans up after a run in containers, also when that was killed.
func (c *cli) reaperCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reaper", Short: "Remove a run's containers when the run is gone", Hidden: true, Args: cobra.ArbitraryArgs,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return containers.RunReaper(cmd.Context(), args)
		},
	}
}
