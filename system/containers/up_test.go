package containers

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/reaper"
	"github.com/ratel-sim/ratel/system/telemetry"
)

func TestWhatIsUpSurvivesItsFile(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if _, err := loadStanding(cache, DefaultName); !errors.Is(err, ErrNotUp) || err.Error() != "no world is up" {
		t.Errorf("nothing is up: %v", err)
	}
	w := laidOut(t, system.Default())
	want := w.Standing()
	if len(want.Nodes) != 23 || len(want.Of(system.RoleShepherd)) != 2 || want.Of(system.RoleQuery)[0].URL == "" || want.Of(system.RoleKafka)[0].URL != "" {
		t.Errorf("it is described as %+v", want)
	}
	if want.Since.Location() != time.UTC {
		t.Errorf("since %v", want.Since)
	}
	for _, name := range []string{DefaultName, "observer"} {
		want.Name = name
		if err := saveStanding(cache, want); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{DefaultName, "observer"} {
		want.Name = name
		got, err := loadStanding(cache, name)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v %v\nwant %+v", got, err, want)
		}
	}
	for _, damaged := range []string{"", "{", "{}"} {
		if err := os.WriteFile(standingPath(cache, "observer"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadStanding(cache, "observer"); err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), `"observer"`) {
			t.Errorf("%q: %v", damaged, err)
		}
	}
	if _, err := loadStanding(cache, DefaultName); err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// A file of the time before worlds had names is the default world's.
func TestAFileWithoutANameIsTheDefaultWorlds(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if err := os.WriteFile(filepath.Join(cache, "up.json"), []byte(`{"run":"abcd1234","since":"2026-01-02T03:04:05Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := loadStanding(cache, DefaultName)
	if err != nil || s.Name != DefaultName || s.Run != "abcd1234" || s.Observer != (StandingObserver{}) {
		t.Errorf("got %+v %v", s, err)
	}
	if names, err := standingNames(cache); err != nil || !slices.Equal(names, []string{DefaultName}) {
		t.Errorf("up are %v %v", names, err)
	}
}

func TestAWorldThatIsNotUp(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if _, err := loadStanding(cache, "shop"); !errors.Is(err, ErrNotUp) || !strings.Contains(err.Error(), `no world is up, "shop" neither`) {
		t.Errorf("none at all: %v", err)
	}
	for _, name := range []string{"observer", "shop"} {
		if err := saveStanding(cache, &Standing{Name: name, Run: name}); err != nil {
			t.Fatal(err)
		}
	}
	// What is half written, or nobody has written, is no world.
	for _, other := range []string{"half.json.new", "No Name.json", "default.json"} {
		if err := os.WriteFile(filepath.Join(cache, "up", other), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"obsrever":  `no world named "obsrever" is up: did you mean "observer"?`,
		DefaultName: `no world named "default" is up: there are observer, shop`,
	} {
		_, err := loadStanding(cache, name)
		if !errors.Is(err, ErrNotUp) || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
	}
}

func TestNamesOfWorlds(t *testing.T) {
	t.Parallel()
	for _, good := range []string{DefaultName, "a", "7", "shop-2", strings.Repeat("x", 32)} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "-a", "A", "a b", "../a", "a/b", "a.json", "a\n", strings.Repeat("x", 33)} {
		if err := CheckName(bad); err == nil || !strings.Contains(err.Error(), "letters, digits and dashes") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A standing world that no file tells of any more is let go, others are not.
func TestWorldsThatNoFileTellsOfAreLetGo(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for _, run := range []string{"lost", "kept", "named"} {
		if err := reaper.Detach(cache, run); err != nil {
			t.Fatal(err)
		}
	}
	for name, run := range map[string]string{DefaultName: "kept", "shop": "named"} {
		if err := saveStanding(cache, &Standing{Name: name, Run: run}); err != nil {
			t.Fatal(err)
		}
	}
	if err := disown(cache); err != nil {
		t.Fatal(err)
	}
	if runs, err := reaper.DetachedRuns(cache); err != nil || !slices.Equal(runs, []string{"kept", "named"}) {
		t.Errorf("still standing: %v %v", runs, err)
	}
	// While a file cannot be read, nobody knows whose runs these are.
	if err := errors.Join(reaper.Detach(cache, "lost"), os.WriteFile(standingPath(cache, "shop"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := disown(cache); err != nil {
		t.Errorf("with a damaged file of another world: %v", err)
	}
	if !reaper.Detached(cache, "lost") || !reaper.Detached(cache, "named") {
		t.Error("a world was let go while nobody knew whose it was")
	}
}

// What observes a world is shared out among its roles, and is not of the addresses that its nodes have.
func TestRolesTellTheShepherdsThatHaveJoined(t *testing.T) {
	t.Parallel()
	top := system.Default()
	top.Telemetry = telemetry.DefaultConfig()
	w := laidOut(t, top)
	w.opt.ObserveInto = "observer"
	w.joined.key = "key"
	for at := range reservedAddresses {
		ip := netip.AddrFrom4([4]byte{10, 9, 0, byte(2 + at)})
		for _, n := range slices.Concat(w.order, w.helpers) {
			if n.ip == ip {
				t.Errorf("%s has the address %s", n.Name, ip)
			}
		}
		w.joined.shepherds = append(w.joined.shepherds, netip.AddrPortFrom(ip, rolePort))
	}
	told := map[string]int{}
	for _, n := range w.of(system.RoleRetriever) {
		o := w.roleConfig(n).Observe
		if err := o.Check(); err != nil || o.Key != "key" {
			t.Errorf("%s tells %+v: %v", n.Name, o, err)
		}
		told[o.URL]++
	}
	if len(told) != reservedAddresses {
		t.Errorf("they tell %v, want all %d shepherds", told, reservedAddresses)
	}
}

// A world that comes up under the name of an earlier observer takes its place if what is configured elsewhere still fits.
func TestWhoCanTakeAnObserversPlace(t *testing.T) {
	t.Parallel()
	was := StandingObserver{Name: "observer", Run: "old", Team: "load", Shepherds: 2}
	for _, tt := range []struct {
		shepherds int
		team      string
		want      string
	}{
		{2, "load", ""}, {3, "load", ""}, {1, "load", "its roles tell 2 shepherds, and there are 1"}, {2, "other", `the key of the team "load", and there is no such team`},
	} {
		top := system.Default()
		top.Shepherds, top.Teams = tt.shepherds, []system.Team{{Name: "first"}, {Name: tt.team}}
		err := was.replaceableBy(laidOut(t, top).Standing())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d shepherds and the team %s: %v, want %q", tt.shepherds, tt.team, err, tt.want)
		}
	}
}

// A standing world's shepherds keep publishing their ports through their own network, whose name comes first.
func TestNetworksAreNamedInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.FixedZone("east", 3600))
	if old, young := networkName(at, "ffff"), networkName(at.Add(time.Millisecond), "0000"); old >= young {
		t.Errorf("%s comes after %s", old, young)
	}
}

func TestOneAtATimeBringsAWorldUp(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	lock, err := lockStanding(cache)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockStanding(cache); err == nil || !strings.Contains(err.Error(), "wait until it has ended") {
		t.Errorf("two at once: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}
