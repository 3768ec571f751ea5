package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/reaper"
	"github.com/ratel-sim/ratel/system/nearest"
	"github.com/ratel-sim/ratel/system/process"
)

// DefaultName is the name of a standing world that was given none.
const DefaultName = "default"

// Standing is a world that [Up] has started and left running.
type Standing struct {
	Name string `json:"name"`
	Run  string `json:"run"`
	// Since is when it was up.
	Since    time.Time       `json:"since"`
	Topology system.Topology `json:"topology"`
	// Nodes are where each node is reached from this machine, in the order of the topology.
	Nodes []StandingNode `json:"nodes"`
	// Teams are the topology's teams with their API keys.
	Teams []StandingTeam `json:"teams"`
	// MySQL is the catalog's database as the driver's DSN. Bucket, AccessKey and SecretKey are S3's.
	MySQL     string `json:"mysql"`
	Bucket    string `json:"bucket"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	// Webhooks is a URL that the nodes reach this machine at. [Standing.ReceiveWebhooks] listens there; until somebody does,
	// deliveries to it are refused and tried again.
	Webhooks string `json:"webhooks,omitempty"`
	// Observer is the standing world into which this one describes itself; absent: none.
	Observer StandingObserver `json:"observer,omitzero"`
}

// StandingObserver is the standing world that another one describes itself into, which may be gone by now.
type StandingObserver struct {
	Name string `json:"name"`
	Run  string `json:"run"`
	// Team is whose key the roles give there; Shepherds is how many of its shepherds they tell.
	Team      string `json:"team"`
	Shepherds int    `json:"shepherds"`
}

// StandingNode is one node of a standing world.
type StandingNode struct {
	Name string      `json:"name"`
	Role system.Role `json:"role"`
	Zone string      `json:"zone,omitempty"`
	// Address is host:port. URL is set for what speaks HTTP: shepherds, retrievers, query nodes and S3.
	Address string `json:"address"`
	URL     string `json:"url,omitempty"`
	// GRPC is a shepherd's gRPC server for OTLP, as a URL.
	GRPC string `json:"grpc,omitempty"`
}

// StandingTeam is a team and its key.
type StandingTeam struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// Of lists the nodes of a role, in order.
func (s *Standing) Of(role system.Role) []StandingNode {
	var nodes []StandingNode
	for _, n := range s.Nodes {
		if n.Role == role {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Standing describes this world as it was started: where everything is.
func (w *World) Standing() *Standing {
	s := &Standing{
		Name: DefaultName, Run: w.run, Since: time.Now().UTC().Truncate(time.Second), Topology: w.topology, Observer: w.joined.StandingObserver,
		MySQL: dsn(w.of(system.RoleMySQL)[0].host()), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey,
	}
	for _, n := range w.order {
		sn := StandingNode{Name: n.Name, Role: n.Role, Zone: n.Zone, Address: n.host()}
		switch n.Role {
		case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleS3:
			sn.URL = n.url()
			if at := n.grpc(); at != "" {
				sn.GRPC = "http://" + at
			}
		case system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, process.RoleProxy:
		}
		s.Nodes = append(s.Nodes, sn)
	}
	if w.hookPort != 0 {
		s.Webhooks = fmt.Sprintf("http://%s:%d%s", w.gateway, w.hookPort, webhookPath)
	}
	for _, t := range w.topology.Teams {
		s.Teams = append(s.Teams, StandingTeam{Name: t.Name, Key: system.TeamKey(t.Name)})
	}
	return s
}

// Errors about standing worlds.
var (
	// ErrUp: a world of that name is up already.
	ErrUp = errors.New("is up already")
	// ErrNotUp: none is. The error is a [*NotUpError].
	ErrNotUp = errors.New("no world is up")
)

// NotUpError says that no world of a name is up, and which are.
type NotUpError struct {
	Name string
	Up   []string // sorted
}

// Error implements error.
func (e *NotUpError) Error() string {
	if len(e.Up) > 0 {
		return fmt.Sprintf("no world named %q is up: %s", e.Name, nearest.Suggest(e.Name, e.Up))
	}
	if e.Name != DefaultName {
		return fmt.Sprintf("%v, %q neither", ErrNotUp, e.Name)
	}
	return ErrNotUp.Error()
}

// Is tells that it is an ErrNotUp.
func (e *NotUpError) Is(target error) bool { return target == ErrNotUp }

var standingName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// CheckName says what is wrong with a standing world's name.
func CheckName(name string) error {
	if !standingName.MatchString(name) {
		return fmt.Errorf("a world cannot be named %q: expected 1 to 32 lower-case letters, digits and dashes, a letter or digit first", name)
	}
	return nil
}

// standingPath is where it is noted that a world is up. The default world's place is older than names are.
func standingPath(cache, name string) string {
	if name == DefaultName {
		return filepath.Join(cache, "up.json")
	}
	return filepath.Join(cache, "up", name+".json")
}

// standingNames lists the worlds that are noted as up, sorted.
func standingNames(cache string) ([]string, error) {
	var names []string
	if _, err := os.Stat(standingPath(cache, DefaultName)); err == nil {
		names = append(names, DefaultName)
	}
	entries, err := os.ReadDir(filepath.Join(cache, "up"))
	if ignoreMissing(err) != nil {
		return nil, docker.Explain("look for worlds that are up", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && name != DefaultName && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func saveStanding(cache string, s *Standing) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("describe the world that is up: %w", err)
	}
	path := standingPath(cache, s.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return docker.Explain("save what is up", err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return docker.Explain("save what is up", err)
	}
	return docker.Explain("save what is up", os.Rename(path+".new", path))
}

// loadStanding reads what is noted of a world; a [*NotUpError] if nothing is.
func loadStanding(cache, name string) (*Standing, error) {
	text, err := os.ReadFile(standingPath(cache, name))
	if errors.Is(err, fs.ErrNotExist) {
		names, err := standingNames(cache)
		if err != nil {
			return nil, err
		}
		return nil, &NotUpError{Name: name, Up: names}
	}
	if err != nil {
		return nil, docker.Explain("read what is up", err)
	}
	var s Standing
	if err := json.Unmarshal(text, &s); err != nil || s.Run == "" {
		return nil, &docker.Error{What: fmt.Sprintf("cannot tell what the world named %q is", name), Why: standingPath(cache, name) + " is damaged", Err: err,
			Fix: "remove that file; the next 'ratel up' then removes what is left of the world"}
	}
	s.Name = name // files of the time before names say none
	return &s, nil
}

// disown lets go of standing worlds that no file tells of, so that the next sweep removes them. The caller holds the lock of
// standing worlds.
func disown(cache string) error {
	names, err := standingNames(cache)
	if err != nil {
		return err
	}
	runs, err := reaper.DetachedRuns(cache)
	if err != nil {
		return err
	}
	for _, name := range names {
		s, err := loadStanding(cache, name)
		if err != nil {
			return nil //nolint:nilerr // while a file cannot be read, nobody knows whose runs these are
		}
		runs = slices.DeleteFunc(runs, func(run string) bool { return run == s.Run })
	}
	for _, run := range runs {
		if err := reaper.Forget(cache, run); err != nil {
			return err
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
