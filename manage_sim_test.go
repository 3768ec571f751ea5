package ratel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/sim/mysql"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/manage"
	"github.com/ratel-sim/ratel/system/port"
)

// The management API's own tests run over a store in memory; here it runs over the model of MySQL, which crashes.

// managed is a management API and its metadata store.
type managed struct {
	api  *manage.API
	srv  *mysql.Server
	meta port.Metadata
	p    *sched.Process
	team port.Team
}

// ask makes a request and returns its status and reply.
func (m *managed) ask(ctx context.Context, method, path, body string) (int, string) {
	ctx, cancel := m.p.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	w := httptest.NewRecorder()
	m.api.Serve(ctx, w, httptest.NewRequest(method, path, strings.NewReader(body)), m.team)
	return w.Code, w.Body.String()
}

// dangling finds a definition whose reference leads nowhere.
func (m *managed) dangling(ctx context.Context) error {
	list, err := m.meta.DefinitionsOf(ctx, 0, port.KindDerivedColumn, port.KindSLO, port.KindBurnAlert)
	if err != nil {
		return err
	}
	there := func(kind port.DefinitionKind, is func(port.Definition) bool) bool {
		return slices.ContainsFunc(list, func(d port.Definition) bool { return d.Kind == kind && is(d) })
	}
	for _, d := range list {
		var slo definition.SLO
		var burn definition.BurnAlert
		switch {
		case d.Kind == port.KindSLO && json.Unmarshal(d.Body, &slo) == nil:
			if !there(port.KindDerivedColumn, func(c port.Definition) bool { return c.Dataset == d.Dataset && c.Name == slo.SLI.Alias }) {
				return fmt.Errorf("SLO %q is made of %q, which is not there", d.Name, slo.SLI.Alias)
			}
		case d.Kind == port.KindBurnAlert && json.Unmarshal(d.Body, &burn) == nil:
			if !there(port.KindSLO, func(s port.Definition) bool { return s.Dataset == d.Dataset && fmt.Sprint(s.ID) == burn.SLO.ID }) {
				return fmt.Errorf("burn alert %d is of SLO %s, which is not there", d.ID, burn.SLO.ID)
			}
		}
	}
	return nil
}

// TestManagementOverMySQL: whatever is asked for, one request after the other and with crashes of the metadata store, no
// reference ever leads nowhere, a request that was answered is held, and none is answered by 500.
func TestManagementOverMySQL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		ops := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(rt, "operations")
		s := sched.New(seed)
		defer s.Close()
		net := simnet.New(s, simnet.Config{Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})
		srv := mysql.New(s, net, mysql.Config{})
		srv.Start()
		node, p := net.AddNode("shepherd1", ""), s.Process("shepherd1")
		node.Start(p)
		m := &managed{srv: srv, meta: srv.Client(node, p), p: p}
		m.api = manage.New(m.meta, m.meta, m.meta, manage.Options{Now: p.Now})
		var failed error
		ended := false
		p.Foreground("test", func(ctx context.Context) {
			failed = m.random(ctx, ops)
			ended = true
			s.Stop()
		})
		if err := s.Run(time.Hour); err != nil {
			rt.Fatal(err)
		}
		if failed != nil || !ended {
			rt.Fatalf("ended: %v; %v", ended, failed)
		}
	})
}

func (m *managed) random(ctx context.Context, ops []int) error {
	_ = m.p.Sleep(ctx, 3*time.Second) // the server boots
	var err error
	if m.team, err = m.meta.CreateTeam(ctx, port.NewTeam{Name: "t", Key: "key"}); err != nil {
		return err
	}
	if _, _, err := m.meta.CreateDataset(ctx, port.NewDataset{Team: m.team.ID, Name: "Web", Spread: 1, Of: 1}); err != nil {
		return err
	}
	ids := map[string]string{} // what was answered to be there: paths by name
	for i, op := range ops {
		n := m.p.Rand().IntN(2)
		column := fmt.Sprintf(`{"alias":"c%d","expression":"$a > %d"}`, n, n)
		slo := fmt.Sprintf(`{"name":"s%d","sli":{"alias":"c%d"},"time_period_days":7,"target_per_million":990000}`, n, n)
		var status int
		var reply, name, method, path string
		switch op {
		case 0, 1:
			method, path, name = "POST", "/1/derived_columns/web", fmt.Sprint("c", n)
			status, reply = m.ask(ctx, method, path, column)
		case 2, 3:
			method, path, name = "POST", "/1/slos/web", fmt.Sprint("s", n)
			status, reply = m.ask(ctx, method, path, slo)
		case 4, 5:
			slo := ids[fmt.Sprint("s", n)]
			method, path, name = "POST", "/1/burn_alerts/web", fmt.Sprint("b", n)
			status, reply = m.ask(ctx, method, path, `{"slo":{"id":"`+slo[strings.LastIndexByte(slo, '/')+1:]+`"},"exhaustion_minutes":60}`)
		case 6, 7, 8:
			name = fmt.Sprint([]string{"c", "s", "b"}[op-6], n)
			if ids[name] == "" {
				continue
			}
			method, path = "DELETE", ids[name]
			status, reply = m.ask(ctx, method, path, "")
		case 9:
			m.srv.Kill()
			m.srv.Start()
			m.srv.SetErrors([]float64{0, 0.2}[n])
			continue
		}
		switch {
		case status == 201:
			var made struct{ ID string }
			if json.Unmarshal([]byte(reply), &made) != nil || made.ID == "" {
				return fmt.Errorf("operation %d: %s", i, reply)
			}
			if old := ids[name]; old != "" && old != path+"/"+made.ID {
				return fmt.Errorf("operation %d: %s was %s and is made again as %s", i, name, old, made.ID)
			}
			ids[name] = path + "/" + made.ID
		case status == 204:
			delete(ids, name)
		case status == 404 && method == "DELETE":
			return fmt.Errorf("operation %d: %s was answered to be there: %s", i, path, reply)
		case status == 504:
			delete(ids, name) // nobody knows
		case status != 409 && status != 422 && status != 503:
			return fmt.Errorf("operation %d: %s %s: %d %s", i, method, path, status, reply)
		}
	}
	m.srv.SetErrors(0)
	_ = m.p.Sleep(ctx, 30*time.Second)
	return m.dangling(ctx)
}
