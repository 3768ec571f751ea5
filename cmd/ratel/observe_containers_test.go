//go:build containers

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// observedTopology describes each of its chunks and requests.
const observedTopology = `{"zookeeper":{"nodes":1},"kafka":{"brokers":1,"partitions":1,"replication":1,"min_insync":1},"shepherds":1,"beagles":1,"triggers":1,
	"telemetry":{"produce_sample":1,"batch_sample":1}}`

// TestContainersObserveInto is docs/telemetry.md's recipe: a small world observes another, ticks and traces are found there by
// the printed lines, and what becomes of the world that observes does not touch the one that is observed.
func TestContainersObserveInto(t *testing.T) {
	home := t.TempDir()
	u := &user{t: t, env: append(os.Environ(), "XDG_CACHE_HOME="+home)}
	observer, topology := filepath.Join("..", "..", "docs", "observer.json"), filepath.Join(home, "observed.json")
	if err := os.WriteFile(topology, []byte(observedTopology), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	t.Cleanup(func() {
		if t.Failed() {
			u.ratel(context.Background(), "down", "--all")
		}
	})
	refused := func(want string, args ...string) {
		t.Helper()
		if _, talk, code := u.ratel(ctx, args...); code != exitWorld || !strings.Contains(talk, want) {
			t.Errorf("%v: exit %d, without %q", args, code, want)
		}
	}
	refused(`no world is up, "observer" neither`, "up", "--observe-into", "observer")
	if _, _, code := u.ratel(ctx, "up", "--name", "observer", "--topology", observer); code != exitPass {
		t.Fatalf("up of the observer: exit %d", code)
	}
	refused(`did you mean "observer"?`, "up", "--observe-into", "obsrever")
	refused("ratel down observer", "up", "--name", "observer")
	refused("there are observer", "down")
	out, _, code := u.ratel(ctx, "up", "--topology", topology, "--observe-into", "observer")
	if code != exitPass {
		t.Fatalf("up of the observed: exit %d", code)
	}
	list, _, _ := u.ratel(ctx, "up", "--show")
	if !regexp.MustCompile(`(?m)^observer .* - .*\n^default .* observer `).MatchString(list) {
		t.Errorf("the list of what is up has not both, the observer first")
	}
	runs := []string{runIn(t, home, "up.json"), runIn(t, home, filepath.Join("up", "observer.json"))}

	u.printedLines(ctx, out)
	ticks, traces := telemetryLinesOf(t, out)
	u.everyRoleTicks(ctx, ticks)
	soon(t, "a trace from ingest to index and count", func() (string, bool) {
		steps := map[any][]string{}
		for _, row := range u.rows(ctx, traces) {
			steps[row["trace.trace_id"]] = append(steps[row["trace.trace_id"]], fmt.Sprint(row["meta.kind"], " ", row["node"]))
		}
		for _, s := range steps {
			slices.Sort(s)
			if slices.Equal(s, []string{"batch shepherd1", "count beagle1", "index retriever1", "index retriever2", "produce shepherd1"}) {
				return "", true
			}
		}
		return fmt.Sprint(steps), false
	})

	t.Run("without the observer's shepherd", func(t *testing.T) { u.goesOnAlone(ctx, t, out, "ratel-"+runs[1]+"-shepherd1") })
	if _, talk, code := u.ratel(ctx, "down", "observer"); code != exitPass || !strings.Contains(talk, `"default" described itself into it`) {
		t.Errorf("down of the observer: exit %d", code)
	}
	if shown, _, _ := u.ratel(ctx, "up", "--show"); !strings.Contains(shown, `the world "observer" that it was to go to is not up any more`) {
		t.Errorf("up --show does not say that nobody observes any more")
	}
	countsByHTTP(ctx, t, out, "alone")
	if _, _, code := u.ratel(ctx, "up", "--name", "observer", "--topology", observer); code != exitPass {
		t.Fatalf("up of another observer: exit %d", code)
	}
	runs = append(runs, runIn(t, home, filepath.Join("up", "observer.json")))
	shown, _, _ := u.ratel(ctx, "up", "--show", "--name", "default")
	ticks, _ = telemetryLinesOf(t, shown)
	u.everyRoleTicks(ctx, ticks)
	if down, _, code := u.ratel(ctx, "down"); code != exitPass || !strings.HasPrefix(down, "removed: run "+runs[0]) {
		t.Errorf("down of the observed: exit %d", code)
	}
	u.everyRoleTicks(ctx, ticks) // of what it was told before
	if down, _, code := u.ratel(ctx, "down", "--all"); code != exitPass || !strings.HasPrefix(down, "removed: observer, run "+runs[2]) {
		t.Errorf("down --all: exit %d", code)
	}
	for _, run := range runs {
		for _, what := range [][]string{{"ps", "--all"}, {"network", "ls"}, {"volume", "ls"}} {
			left, err := exec.CommandContext(ctx, "docker", append(what, "--quiet", "--filter", "label=ratel.run="+run)...).CombinedOutput()
			if err != nil || len(strings.TrimSpace(string(left))) > 0 {
				t.Errorf("left behind of %v: %s %v", what, left, err)
			}
		}
	}
}

// telemetryLinesOf are the lines that up prints for a world that is observed.
func telemetryLinesOf(t *testing.T, out string) (ticks, traces string) {
	t.Helper()
	headings := regexp.MustCompile(`(?m)^(Query what it says|Follow chunks).*:$`).FindAllString(out, -1)
	if len(headings) != 2 {
		t.Fatalf("up printed about telemetry only %q", headings)
	}
	return block(t, out, headings[0]), block(t, out, headings[1])
}

// everyRoleTicks runs a printed line until it counts ticks of every role.
func (u *user) everyRoleTicks(ctx context.Context, line string) {
	u.t.Helper()
	soon(u.t, "ticks of every role", func() (string, bool) {
		seen := map[any]any{}
		for _, row := range u.rows(ctx, line) {
			if n, ok := row["COUNT"].(float64); ok && n > 0 {
				seen[row["role"]] = n
			}
		}
		return fmt.Sprint(seen), len(seen) == 5
	})
}

// rows runs a printed line that queries, and reads the result's rows.
func (u *user) rows(ctx context.Context, line string) []map[string]any {
	u.t.Helper()
	var result struct {
		Data struct {
			Results []struct{ Data map[string]any }
		}
	}
	if answer := u.sh(ctx, line); json.Unmarshal([]byte(answer), &result) != nil {
		u.t.Errorf("the query answered %s", answer)
	}
	var rows []map[string]any
	for _, r := range result.Data.Results {
		rows = append(rows, r.Data)
	}
	return rows
}

// goesOnAlone stops the container that takes the telemetry and starts it again.
func (u *user) goesOnAlone(ctx context.Context, t *testing.T, out, observer string) {
	shepherd := apiOf(t, out).shepherd
	lost := func() float64 {
		return metric(ctx, t, shepherd, "ratel_telemetry_failed_total") + metric(ctx, t, shepherd, "ratel_telemetry_dropped_total")
	}
	before := lost()
	u.sh(ctx, "docker kill "+observer)
	soon(t, "a loss that is told", func() (string, bool) { return fmt.Sprint(lost()), lost() > before })
	countsByHTTP(ctx, t, out, "unobserved")
	u.sh(ctx, "docker start "+observer)
	sent := metric(ctx, t, shepherd, "ratel_telemetry_sent_total")
	soon(t, "telemetry again", func() (string, bool) {
		now := metric(ctx, t, shepherd, "ratel_telemetry_sent_total")
		return fmt.Sprint(now), now > sent
	})
}

// metric is a metric of a role.
func metric(ctx context.Context, t *testing.T, at, name string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	m := regexp.MustCompile(`(?m)^` + name + `(?:\{.*\})? (\S+)$`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("%s has no metric %s: %v\n%s", at, name, err, text)
	}
	value, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// soon waits for a condition, for as long as slow machines may need.
func soon(t *testing.T, what string, holds func() (detail string, ok bool)) {
	t.Helper()
	detail, ok := "", false
	for began := time.Now(); !ok && time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
		if detail, ok = holds(); ok {
			t.Logf("%s after %v (%s)", what, time.Since(began).Round(time.Millisecond), detail)
			return
		}
	}
	t.Errorf("not within a minute: %s (%s)", what, detail)
}
