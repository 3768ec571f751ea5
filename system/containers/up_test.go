package containers

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system"
)

func TestWhatIsUpSurvivesItsFile(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if _, err := loadStanding(cache); !errors.Is(err, ErrNotUp) {
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
	if err := saveStanding(cache, want); err != nil {
		t.Fatal(err)
	}
	got, err := loadStanding(cache)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v\nwant %+v", got, err, want)
	}
	for _, damaged := range []string{"", "{", "{}"} {
		if err := os.WriteFile(standingPath(cache), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadStanding(cache); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("%q: %v", damaged, err)
		}
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
