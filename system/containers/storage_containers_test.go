//go:build containers

package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/mysql"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/s3"
)

// storage is a world whose MySQL and S3 are tried out, with clients that go through the proxies as roles do.
type storage struct {
	*bench
	catalog *mysql.Catalog
	blobs   *s3.Store
}

// asRole makes clients that reach the servers as a role does: through the proxies.
func (b *bench) asRole(t *testing.T) storage {
	t.Helper()
	my, so := b.nodes["mysql"], b.nodes["s3"]
	catalog, err := mysql.New(b.wall, mysql.Options{DSN: dsn(fmt.Sprintf("%s:%d", my.front.ip, my.port))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = catalog.Close() })
	blobs, err := s3.New(s3.Options{Endpoint: fmt.Sprintf("http://%s:%d", so.front.ip, so.port), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	return storage{b, catalog, blobs}
}

// TestContainersStorageFaults injects every fault of MySQL and S3 into the real servers: what a role's client meets, what
// an asker sees, and that healing restores what was there.
func TestContainersStorageFaults(t *testing.T) {
	w := newWorld(t)
	seen := &recorder{}
	w.Subscribe(seen)
	err := w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, small()); err != nil {
			return err
		}
		b := &bench{World: w, ctx: ctx, seen: seen}
		for _, tt := range []struct {
			name string
			run  func(t *testing.T, s storage)
		}{
			{"storage is prepared", storagePrepared},
			{"errors of S3", s3Errors},
			{"errors of MySQL", mysqlErrors},
			{"slow S3 and MySQL", slowStorage},
			{"faults of requests add up", overlappingErrors},
			{"kill", killStorage},
			{"stop", stopStorage},
			{"pause", pauseStorage},
			{"isolate a role from MySQL", isolateFromMySQL},
			{"isolate S3", isolateS3},
			{"recreate a dataset", recreateDataset},
			{"what cannot be done", storageRefusals},
		} {
			t.Run(tt.name, func(t *testing.T) {
				s := b.asRole(t)
				tt.run(t, s)
				for _, n := range b.order {
					b.reaches(t, n.Name, system.Answers)
				}
				if err := s.read(); err != nil {
					t.Errorf("after healing: %v", err)
				}
				if err := s.put("settled"); err != nil {
					t.Errorf("after healing: %v", err)
				}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := leftOf(t, w.RunID()); !left.Empty() {
		t.Errorf("left behind: %s", left)
	}
}

// read asks the catalog for something, as a role does.
func (s storage) read() error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	_, err := s.catalog.TeamByKey(ctx, system.TeamKey(system.DefaultTeam))
	return err
}

// put stores an object, as a role does.
func (s storage) put(key string) error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	_, err := s.blobs.Put(ctx, key, []byte(key), port.Condition{})
	return err
}

// there tells whether an object is there, as the store itself says.
func (s storage) there(t *testing.T, key string) bool {
	t.Helper()
	_, _, err := s.Blobs().Get(s.ctx, key)
	if err != nil && !errors.Is(err, port.ErrNoBlob) {
		t.Fatal(err)
	}
	return err == nil
}

func storagePrepared(t *testing.T, s storage) {
	team, err := s.Catalog().TeamByKey(s.ctx, system.TeamKey(system.DefaultTeam))
	if err != nil || team.Name != system.DefaultTeam {
		t.Errorf("the topology's team: %+v %v", team, err)
	}
	if err := s.put("first"); err != nil {
		t.Error(err)
	}
	if !s.there(t, "first") {
		t.Error("what was put through the proxy is not in the store")
	}
}

func s3Errors(t *testing.T, s storage) {
	f := system.Fault{Kind: system.FaultErrors, Node: "s3", Rate: 1}
	s.inject(t, f)
	if n, err := s.Dropped(s.ctx, f); n != 0 || err != nil {
		t.Errorf("before any request: %d %v", n, err)
	}
	refused, unknown := 0, 0
	for i := range 30 {
		key := fmt.Sprintf("errors-%d", i)
		err := s.put(key)
		switch {
		case err == nil:
			t.Errorf("%s was put although every request fails", key)
		case errors.Is(err, port.ErrRefused):
			refused++
			if s.there(t, key) {
				t.Errorf("%s was refused (%v) and is there", key, err)
			}
		case s.there(t, key):
			unknown++
		}
	}
	if refused == 0 || unknown == 0 {
		t.Errorf("%d puts were refused, %d took effect without an answer; want some of both", refused, unknown)
	}
	if reach, detail := s.Probe(s.ctx, "s3"); reach != system.Answers {
		t.Errorf("the store itself: %s %s", reach, detail)
	}
	met, err := s.Dropped(s.ctx, f)
	if err != nil || met < 30 {
		t.Errorf("the fault has met %d requests (%v), want 30 at least", met, err)
	}
	s.heal(t, f)
	if after, err := s.Dropped(s.ctx, f); err != nil || after < met {
		t.Errorf("after healing it has met %d (%v), before %d", after, err, met)
	}
}

func mysqlErrors(t *testing.T, s storage) {
	f := system.Fault{Kind: system.FaultErrors, Node: "mysql", Rate: 1}
	s.inject(t, f)
	for range 10 {
		if err := s.read(); err == nil {
			t.Error("the catalog answered although every request fails")
		}
	}
	if n, err := s.Dropped(s.ctx, f); err != nil || n < 10 {
		t.Errorf("the fault has met %d requests (%v)", n, err)
	}
	if _, err := s.Catalog().SchemaVersion(s.ctx); err != nil {
		t.Errorf("the harness's own client: %v", err)
	}
	s.heal(t, f)
}

func slowStorage(t *testing.T, s storage) {
	const delay = 300 * time.Millisecond
	for node, ask := range map[string]func() error{"s3": func() error { return s.put("slow") }, "mysql": s.read} {
		if err := ask(); err != nil { // connected, so that no handshake is measured
			t.Fatal(err)
		}
		f := system.Fault{Kind: system.FaultSlow, Node: node, Delay: delay}
		s.inject(t, f)
		began := time.Now()
		if err := ask(); err != nil || time.Since(began) < delay {
			t.Errorf("slow %s: %v after %v", node, err, time.Since(began))
		}
		if n, err := s.Dropped(s.ctx, f); err != nil || n < 1 {
			t.Errorf("slow %s has met %d requests (%v)", node, n, err)
		}
		s.heal(t, f)
	}
}

func overlappingErrors(t *testing.T, s storage) {
	one, two := system.Fault{Kind: system.FaultErrors, Node: "s3", Rate: 1}, system.Fault{Kind: system.FaultSlow, Node: "s3", Delay: time.Millisecond}
	s.inject(t, one)
	s.inject(t, two)
	s.heal(t, one)
	if err := s.put("overlap"); err != nil {
		t.Errorf("with slowness alone: %v", err)
	}
	if n, err := s.Dropped(s.ctx, two); err != nil || n == 0 {
		t.Errorf("the fault that is left has met %d requests (%v)", n, err)
	}
	s.heal(t, two)
}

func killStorage(t *testing.T, s storage) {
	if err := s.put("kept"); err != nil {
		t.Fatal(err)
	}
	for node, ask := range map[string]func() error{"s3": func() error { return s.put("killed") }, "mysql": s.read} {
		f := system.Fault{Kind: system.FaultKill, Node: node}
		s.inject(t, f)
		s.reaches(t, node, system.Refuses)
		if err := ask(); err == nil {
			t.Errorf("%s answers a role although it was killed", node)
		}
		s.heal(t, f)
		s.reaches(t, node, system.Answers)
	}
	if !s.there(t, "kept") {
		t.Error("what was stored before the kill is gone")
	}
	eventually(t, "roles reach both again", func() (string, bool) {
		err := errors.Join(s.read(), s.put("again"))
		return fmt.Sprint(err), err == nil
	})
}

func stopStorage(t *testing.T, s storage) {
	for _, node := range []string{"s3", "mysql"} {
		f := system.Fault{Kind: system.FaultStop, Node: node}
		began := time.Now()
		s.inject(t, f)
		if took := time.Since(began); took > stopPatience/2 {
			t.Errorf("a clean stop of %s took %v", node, took)
		}
		s.reaches(t, node, system.Refuses)
		s.heal(t, f)
		s.reaches(t, node, system.Answers)
	}
}

func pauseStorage(t *testing.T, s storage) {
	for _, node := range []string{"s3", "mysql"} {
		f := system.Fault{Kind: system.FaultPause, Node: node}
		s.inject(t, f)
		s.reaches(t, node, system.Silent)
		s.heal(t, f)
		s.reaches(t, node, system.Answers)
	}
}

func isolateFromMySQL(t *testing.T, s storage) {
	f := system.Fault{Kind: system.FaultIsolate, Node: "shepherd1", From: []string{"mysql"}, Direction: system.Both}
	s.inject(t, f)
	if rules := s.rules(t, "shepherd1"); !strings.Contains(rules, s.nodes["mysql"].front.ip.String()) {
		t.Errorf("the proxy that the role uses is not cut off:\n%s", rules)
	}
	s.heal(t, f)
}

func isolateS3(t *testing.T, s storage) {
	f := system.Fault{Kind: system.FaultIsolate, Node: "s3", From: []string{"retriever1"}, Direction: system.Both}
	before := s.rules(t, "s3")
	s.inject(t, f)
	if rules := s.rules(t, "s3"); strings.Count(rules, "-j DROP") != 2 {
		t.Errorf("the cut is not in force where roles arrive:\n%s", rules)
	}
	// It outlives a kill of the store: it is about the network.
	kill := system.Fault{Kind: system.FaultKill, Node: "s3"}
	s.inject(t, kill)
	s.heal(t, kill)
	if rules := s.rules(t, "s3"); strings.Count(rules, "-j DROP") != 2 {
		t.Errorf("after a restart of the store:\n%s", rules)
	}
	if _, err := s.Dropped(s.ctx, f); err != nil {
		t.Error(err)
	}
	s.heal(t, f)
	if after := s.rules(t, "s3"); after != before {
		t.Errorf("healing has not restored the rules:\n%s\nwant\n%s", after, before)
	}
}

func recreateDataset(t *testing.T, s storage) {
	team, err := s.Catalog().TeamByKey(s.ctx, system.TeamKey(system.DefaultTeam))
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := s.Catalog().CreateDataset(s.ctx, port.NewDataset{Team: team.ID, Name: "Short Lived", Spread: 1, Of: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.inject(t, system.Fault{Kind: system.FaultRecreate, Node: "mysql", Team: system.DefaultTeam, Dataset: "Short Lived"})
	now, err := s.Catalog().Dataset(s.ctx, team.ID, old.Slug)
	if err != nil || now.ID == old.ID || now.Name != old.Name || len(now.Partitions) != len(old.Partitions) {
		t.Errorf("before %+v, now %+v %v", old, now, err)
	}
}

func storageRefusals(t *testing.T, s storage) {
	for _, f := range []system.Fault{
		{Kind: system.FaultReplace, Node: "mysql"},
		{Kind: system.FaultReplace, Node: "s3"},
		{Kind: system.FaultErrors, Node: "kafka1", Rate: 1},
		{Kind: system.FaultErrors, Node: "s3", Rate: 2},
		{Kind: system.FaultErrors, Node: "s3"},
		{Kind: system.FaultSlow, Node: "s3"},
		{Kind: system.FaultRecreate, Team: system.DefaultTeam, Dataset: "none"},
	} {
		if err := s.Inject(s.ctx, f); err == nil {
			t.Errorf("%s was injected", f)
		}
	}
	f := system.Fault{Kind: system.FaultSlow, Node: "s3", Delay: time.Second}
	if err := s.Heal(s.ctx, f); err == nil || !strings.Contains(err.Error(), "not injected") {
		t.Errorf("%s was healed without having been injected: %v", f, err)
	}
}
