//go:build containers

package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/port"
)

// groupsOnRealServers runs the Groups table; the cluster is whole before and after each row.
func groupsOnRealServers(ctx context.Context, t *testing.T, w *containers.World) {
	for i, row := range Groups() {
		t.Run(row.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			defer cancel()
			e := &GroupsEnv{Runtime: w.Runtime(), Log: w.Log(), Topic: fmt.Sprintf("groups-%d", i), Group: fmt.Sprintf("group-%d", i)}
			e.Client = func() (port.Groups, error) {
				l, err := kafka.New(w.Runtime(), w.KafkaOptions())
				if err != nil {
					return nil, err
				}
				t.Cleanup(func() {
					if err := l.Close(); err != nil {
						t.Logf("close a client: %v", err) // its connections may be gone with their broker
					}
				})
				return l.Groups(), nil
			}
			of := func(id int32) faults { return faultsOf(w, system.NodeName(system.RoleKafka, int(id))) }
			back := func(ctx context.Context, id int32, err error) error {
				if err != nil {
					return err
				}
				return (&Env{Runtime: w.Runtime()}).eventually(ctx, time.Minute, "registered again", func() (bool, error) {
					ids, err := w.Log().Admin().Brokers(ctx)
					return slices.Contains(ids, id), errors.Join(err, fmt.Errorf("the brokers are %v", ids))
				})
			}
			e.Kill = func(ctx context.Context, id int32) error { return of(id).kill(ctx) }
			e.Pause = func(ctx context.Context, id int32) error { return of(id).pause(ctx) }
			e.Restart = func(ctx context.Context, id int32) error { return back(ctx, id, of(id).restart(ctx)) }
			e.Resume = func(ctx context.Context, id int32) error { return back(ctx, id, of(id).resume(ctx)) }
			began := time.Now()
			if err := row.Check(ctx, e); err != nil {
				t.Error(err)
			}
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}
