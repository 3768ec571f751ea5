//go:build containers

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// smallTopology is what a file given to `ratel up --topology` has to say to make few containers.
const smallTopology = `{"zookeeper":{"nodes":1},"kafka":{"brokers":1,"partitions":2,"replication":1,"min_insync":1},"shepherds":1,"beagles":1,"triggers":1}`

// user is somebody who types commands, with a cache folder of their own so that a world that is up for somebody else stays.
type user struct {
	t   *testing.T
	env []string
}

// ratel runs the program and returns what it printed on stdout, on stderr, and its exit code.
func (u *user) ratel(ctx context.Context, args ...string) (out, talk string, code int) {
	u.t.Helper()
	cmd := exec.CommandContext(ctx, binary(u.t), args...)
	cmd.Env = u.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		code = exitCode(err)
	}
	u.t.Logf("ratel %s: exit %d\n%s%s", strings.Join(args, " "), code, stderr.Bytes(), stdout.Bytes())
	return stdout.String(), stderr.String(), code
}

// sh runs a line in a shell, as it was printed.
func (u *user) sh(ctx context.Context, line string) string {
	u.t.Helper()
	out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput()
	if err != nil {
		u.t.Errorf("%s\n%v: %s", line, err, out)
	}
	return string(out)
}

// TestContainersUp is a new user's first quarter of an hour: up, the printed lines, a thousand events by HTTP and as many by
// OpenTelemetry's exporters, queries that count them, a trigger that fires, a second up that is refused, down.
func TestContainersUp(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("the lines that 'ratel up' prints need curl: apt-get install curl, or run `make test-containers`, which does")
	}
	home := t.TempDir()
	u := &user{t: t, env: append(os.Environ(), "XDG_CACHE_HOME="+home)}
	topology := filepath.Join(home, "small.json")
	if err := os.WriteFile(topology, []byte(smallTopology), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"down"}, {"up", "--show"}} {
		if _, talk, code := u.ratel(ctx, args...); code != exitWorld || !strings.Contains(talk, "'ratel up' starts one") {
			t.Errorf("%v with nothing up: exit %d", args, code)
		}
	}
	out, _, code := u.ratel(ctx, "up", "--topology", topology)
	if code != exitPass {
		t.Fatalf("up: exit %d", code)
	}
	t.Cleanup(func() { u.ratel(context.Background(), "down") })

	t.Run("printed lines", func(t *testing.T) { u := &user{t: t}; u.printedLines(ctx, out) })
	t.Run("counts", func(t *testing.T) { countsByHTTP(ctx, t, out, "counted") })
	t.Run("exporters", func(t *testing.T) { countsByExporters(ctx, t, out) })
	t.Run("webhook", func(t *testing.T) { u := &user{t: t, env: u.env}; u.webhookComes(ctx, out) })
	t.Run("again", func(t *testing.T) {
		again := &user{t: t, env: u.env}
		if shown, _, code := again.ratel(ctx, "up", "--show"); code != exitPass || shown != out {
			t.Errorf("up --show: exit %d, and not what up had printed", code)
		}
		if _, talk, code := again.ratel(ctx, "up", "--topology", topology); code != exitWorld || !strings.Contains(talk, "up already") || !strings.Contains(talk, "ratel down") {
			t.Errorf("a second up: exit %d", code)
		}
	})
	run := runIn(t, home, "up.json")
	if down, _, code := u.ratel(ctx, "down"); code != exitPass || !strings.HasPrefix(down, "removed: run ") {
		t.Errorf("down: exit %d", code)
	}
	left, err := exec.CommandContext(ctx, "docker", "ps", "--all", "--quiet", "--filter", "label=ratel.run="+run).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(left)) > 0 {
		t.Errorf("left behind: %s %v", left, err)
	}
	if _, _, code := u.ratel(ctx, "up", "--show"); code != exitWorld {
		t.Errorf("up --show after down: exit %d", code)
	}
}

// runIn is the id of the run that is up by a file of a cache folder.
func runIn(t *testing.T, home, file string) string {
	t.Helper()
	var s struct{ Run string }
	text, err := os.ReadFile(filepath.Join(home, "ratel", file))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || s.Run == "" {
		t.Fatalf("what is up is not noted: run %q, %v", s.Run, err)
	}
	return s.Run
}

// printedLines runs what up has printed, as it was printed.
func (u *user) printedLines(ctx context.Context, out string) {
	send, query := block(u.t, out, "Send an event:"), block(u.t, out, "Query it:")
	if got := u.sh(ctx, send); !strings.Contains(got, `"status":202`) {
		u.t.Errorf("sending answered %s", got)
	}
	// On a machine that is busy, the second that the printed lines wait may not be enough for the first query.
	var got string
	for range 20 {
		if got = u.sh(ctx, query); strings.Contains(got, `"COUNT":1`) {
			break
		}
	}
	for _, want := range []string{`"COUNT":1`, `"AVG(duration_ms)":12.5`, `"service.name":"shop"`, `"complete":true`} {
		if !strings.Contains(strings.ReplaceAll(got, ": ", ":"), want) {
			u.t.Errorf("the query answered %s, without %s", got, want)
		}
	}
}

// block is the indented text that follows a heading.
func block(t *testing.T, out, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(out, heading+"\n")
	if !found {
		t.Fatalf("up printed no %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n\n")
	return text
}

// api is where a standing world is, read from what up has printed.
type api struct{ shepherd, query, key string }

func apiOf(t *testing.T, out string) api {
	t.Helper()
	var a api
	for _, field := range []struct {
		at      *string
		pattern string
	}{
		{&a.shepherd, `(?m)^shepherd1\s+\S+\s+(http://\S+)`}, {&a.query, `(?m)^query1\s.*(http://\S+)$`}, {&a.key, `(?m)^\S+\s+([0-9a-f]{32})$`},
	} {
		m := regexp.MustCompile(field.pattern).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("up printed nothing like %s", field.pattern)
		}
		*field.at = m[1]
	}
	return a
}

// do sends one request and reads the reply into answer.
func (a api) do(ctx context.Context, method, url, body string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Honeycomb-Team", a.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, res.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

// countsByHTTP sends a thousand events in batches and expects a complete answer to count every accepted one, soon.
func countsByHTTP(ctx context.Context, t *testing.T, out, dataset string) {
	a := apiOf(t, out)
	const batches, size = 20, 50
	for i := range batches {
		events := make([]string, size)
		for k := range events {
			events[k] = fmt.Sprintf(`{"data":{"service.name":"shop-%d","duration_ms":%d}}`, k%5, i*size+k)
		}
		var answers []struct{ Status int }
		if err := a.do(ctx, http.MethodPost, a.shepherd+"/1/batch/"+dataset, "["+strings.Join(events, ",")+"]", &answers); err != nil {
			t.Fatal(err)
		}
		for _, answer := range answers {
			if answer.Status != http.StatusAccepted {
				t.Fatalf("batch %d: answers %v", i, answers)
			}
		}
	}
	a.counts(ctx, t, dataset, "shop-0:200 shop-1:200 shop-2:200 shop-3:200 shop-4:200")
}

// counts expects a dataset to have so many events of each service, soon.
func (a api) counts(ctx context.Context, t *testing.T, dataset, want string) {
	t.Helper()
	got := ""
	for began := time.Now(); got != want && time.Since(began) < 30*time.Second; {
		var err error
		if got, err = a.count(ctx, dataset); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("counted %s\nwant    %s", got, want)
	}
}

// count creates a query, runs it and polls for its result, as a client library does.
func (a api) count(ctx context.Context, dataset string) (string, error) {
	var id struct{ ID string }
	spec := `{"calculations":[{"op":"COUNT"}],"breakdowns":["service.name"],"orders":[{"column":"service.name"}]}`
	if err := a.do(ctx, http.MethodPost, a.query+"/1/queries/"+dataset, spec, &id); err != nil {
		return "", err
	}
	if err := a.do(ctx, http.MethodPost, a.query+"/1/query_results/"+dataset, fmt.Sprintf(`{"query_id":%q}`, id.ID), &id); err != nil {
		return "", err
	}
	for {
		var result struct {
			Complete, Partial bool
			Data              struct {
				Results []struct{ Data map[string]any }
			}
		}
		if err := a.do(ctx, http.MethodGet, a.query+"/1/query_results/"+dataset+"/"+id.ID, "", &result); err != nil {
			return "", err
		}
		if result.Complete {
			if result.Partial {
				return "a partial answer", nil
			}
			var rows []string
			for _, r := range result.Data.Results {
				rows = append(rows, fmt.Sprintf("%v:%v", r.Data["service.name"], r.Data["COUNT"]))
			}
			return strings.Join(rows, " "), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}
