package process

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

func good() Config {
	return Config{
		Node: "retriever3", Role: system.RoleRetriever, Listen: ":8080", PeerListen: ":8082", Kafka: []string{"kafka1:9092"}, ZooKeeper: []string{"zk1:2181"},
		Zone: "b", MySQL: "u:p@tcp(mysql:3306)/db", S3: S3{Endpoint: "http://s3:9000", Bucket: "ratel", AccessKey: "k", SecretKey: "s"},
		Peers:      map[string]string{"retriever1": "retriever1:8082", "retriever2": "retriever2:8082", "retriever4": "retriever4:8082"},
		Retrievers: [][]string{{"retriever1", "retriever2"}, {"retriever3", "retriever4"}},
		Partitions: 2, Partition: 1, Data: "/data",
		Shepherd: shepherd.DefaultConfig(), Retriever: retriever.DefaultConfig(), Query: query.DefaultConfig(),
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "role.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigSurvivesItsFile(t *testing.T) {
	t.Parallel()
	want := good()
	want.Retriever.DedupWindow = 7
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, again) {
		t.Errorf("got\n%s\nwant\n%s", again, text)
	}
}

func TestConfigFromTheEnvironment(t *testing.T) {
	text, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("RATEL_TEST_ROLE", string(text))
	if got, err := Load("env:RATEL_TEST_ROLE"); err != nil || got.Node != "retriever3" {
		t.Errorf("got %+v %v", got, err)
	}
	if _, err := Load("env:RATEL_TEST_NONE"); err == nil || !strings.Contains(err.Error(), "env:RATEL_TEST_NONE") {
		t.Errorf("a variable that is not set: %v", err)
	}
}

func TestBadConfigSaysWhatIsExpected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no name", func(c *Config) { c.Node = "" }, "node: missing"},
		{"a server's role", func(c *Config) { c.Role = system.RoleKafka }, `role: "kafka", expected "shepherd", "retriever", "query", "beagle", "trigger" or "proxy"`},
		{"no address to listen on", func(c *Config) { c.Listen = "8080" }, `listen: "8080", expected an address`},
		{"no address for peers", func(c *Config) { c.PeerListen = "" }, `peer_listen: "", expected an address`},
		{"peers where everybody is", func(c *Config) { c.PeerListen = c.Listen }, `peer_listen: ":8080" is that of listen`},
		{"peers of a shepherd", func(c *Config) { c.Role = system.RoleShepherd }, "peer_listen: a shepherd serves no peers"},
		{"no address for gRPC", func(c *Config) { c.Role, c.GRPCListen = system.RoleShepherd, "4317" }, `grpc_listen: "4317", expected an address`},
		{"gRPC of a retriever", func(c *Config) { c.GRPCListen = ":4317" }, "grpc_listen: a retriever has no gRPC interface"},
		{"no Kafka", func(c *Config) { c.Kafka = nil }, "kafka: no address"},
		{"a bad ZooKeeper address", func(c *Config) { c.ZooKeeper = []string{"zk1"} }, `zookeeper: "zk1", expected host:port`},
		{"no partitions", func(c *Config) { c.Partitions, c.Partition, c.Retrievers = 0, 0, nil }, "partitions: 0, expected 1 or more"},
		{"a partition too high", func(c *Config) { c.Partition = 2 }, "partition: 2, expected 0 to 1"},
		{"another's partition", func(c *Config) { c.Partition = 0 }, "retriever3 is not among those of its partition 0"},
		{"a partition without retrievers", func(c *Config) { c.Retrievers[0] = nil }, "retrievers: none of partition 0"},
		{"retrievers of too few partitions", func(c *Config) { c.Retrievers = c.Retrievers[:1] }, "retrievers: of 1 partitions, expected 2"},
		{"a peer without address", func(c *Config) { delete(c.Peers, "retriever4") }, "peers: no address of retriever4"},
		{"a peer's bad address", func(c *Config) { c.Peers["retriever4"] = "retriever4" }, `peers: "retriever4", expected host:port`},
		{"no MySQL", func(c *Config) { c.MySQL = "" }, "mysql: missing"},
		{"no S3", func(c *Config) { c.S3.Bucket = "" }, "s3: missing"},
		{"a proxy without a target", func(c *Config) { c.Role = RoleProxy }, `target: "", expected host:port`},
		{"no folder", func(c *Config) { c.Data = "" }, "data: missing"},
	} {
		c := good()
		tt.change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
	all := Config{}
	if err := all.Check(); err == nil || strings.Count(err.Error(), "\n") < 4 {
		t.Errorf("an empty configuration should tell all of its faults, got: %v", err)
	}
}

func TestBadConfigFiles(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"empty":         "",
		"not JSON":      "node: x",
		"unknown field": `{"planted":["K1"]}`,
		"trailing text": string(text) + "{}",
		"wrong type":    `{"partitions":"six"}`,
	} {
		path := write(t, file)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a missing file was read")
	}
}

// A shepherd's garbage collector may let garbage lie, up to a bound that follows from what it may have in flight.
func TestMemoryOfAShepherd(t *testing.T) {
	c := good()
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	now := func() (int, int64) {
		p := debug.SetGCPercent(100)
		return p, debug.SetMemoryLimit(math.MaxInt64)
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	SetMemory(c) // a retriever's is as it was
	if p, l := now(); p != 100 || l != math.MaxInt64 {
		t.Errorf("a retriever's percentage is %d, its limit %d", p, l)
	}
	c.Role = system.RoleShepherd
	SetMemory(c)
	if p, l := now(); p != 400 || l != 384<<20 {
		t.Errorf("percentage %d, limit %d", p, l)
	}
	t.Setenv("GOGC", "50")
	t.Setenv("GOMEMLIMIT", "768MiB")
	SetMemory(c)
	if p, l := now(); p != 100 || l != math.MaxInt64 {
		t.Errorf("although the environment says otherwise: percentage %d, limit %d", p, l)
	}
}

func TestEventsSurviveTheirLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	want := port.Event{Kind: port.EventClaimed, Node: "retriever1", Topic: "events", Part: 3, Detail: "a line\nbroken"}
	NewAnnouncer(&out).Announce(want)
	line, rest, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if len(rest) > 0 {
		t.Errorf("one event took more than a line: %q", out.String())
	}
	if got, ok := ParseEvent(line); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for _, other := range []string{"", "INFO started", "{}", `{"a":1}`, "{broken"} {
		if e, ok := ParseEvent([]byte(other)); ok {
			t.Errorf("%q was taken for the event %+v", other, e)
		}
	}
}
