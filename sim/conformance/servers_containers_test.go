//go:build containers

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
)

// TestStorageOnRealServers asserts the tables of the Catalog, Blobs and Log ports on MySQL, MinIO and Kafka.
func TestStorageOnRealServers(t *testing.T) {
	t.Parallel()
	w, err := containers.New(containers.Options{RoleBinary: os.Getenv("RATEL_BINARY"), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	top := system.Default()
	top.Shepherds, top.Replicas, top.Queries, top.Kafka.Partitions = 0, 0, 0, 1
	err = w.Drive(ctx, func(ctx context.Context) error {
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		t.Run("catalog", func(t *testing.T) {
			catalogOnRealServer(ctx, t, &realDatabase{r: w.Runtime(), dsn: w.CatalogDSN(), faults: faultsOf(w, system.NodeName(system.RoleMySQL, 1))})
		})
		t.Run("blobs", func(t *testing.T) {
			blobsOnRealServer(ctx, t, w.Runtime(), w.BlobOptions(), faultsOf(w, system.NodeName(system.RoleS3, 1)))
		})
		t.Run("log", func(t *testing.T) { logOnRealServers(ctx, t, w) })
		t.Run("groups", func(t *testing.T) { groupsOnRealServers(ctx, t, w) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// faultsOf injects and heals faults of one node.
func faultsOf(w *containers.World, node string) faults {
	inject := func(kind system.FaultKind) func(context.Context) error {
		return func(ctx context.Context) error { return w.Inject(ctx, system.Fault{Kind: kind, Node: node}) }
	}
	heal := func(kind system.FaultKind) func(context.Context) error {
		return func(ctx context.Context) error { return w.Heal(ctx, system.Fault{Kind: kind, Node: node}) }
	}
	return faults{kill: inject(system.FaultKill), restart: heal(system.FaultKill), pause: inject(system.FaultPause), resume: heal(system.FaultPause)}
}

// logOnRealServers runs the Log table; the cluster is whole before and after each row.
func logOnRealServers(ctx context.Context, t *testing.T, w *containers.World) {
	for i, row := range Log() {
		t.Run(row.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			defer cancel()
			name := func(id int32) string { return system.NodeName(system.RoleKafka, int(id)) }
			e := &LogEnv{
				Runtime: w.Runtime(), Log: w.Log(), Numbered: realNumbers{w.KafkaOptions()}, Topic: fmt.Sprintf("conformance-%d", i),
				Kill: func(ctx context.Context, id int32) error { return faultsOf(w, name(id)).kill(ctx) },
			}
			e.Restart = func(ctx context.Context, id int32) error {
				if err := faultsOf(w, name(id)).restart(ctx); err != nil {
					return err
				}
				return (&Env{Runtime: w.Runtime()}).eventually(ctx, time.Minute, "registered again", func() (bool, error) {
					ids, err := w.Log().Admin().Brokers(ctx)
					return slices.Contains(ids, id), errors.Join(err, fmt.Errorf("the brokers are %v", ids))
				})
			}
			began := time.Now()
			if err := row.Check(ctx, e); err != nil {
				t.Error(err)
			}
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}
