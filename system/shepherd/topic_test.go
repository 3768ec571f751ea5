package shepherd_test

import (
	"testing"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/shepherd"
)

func TestTopicIsTheTopologys(t *testing.T) {
	t.Parallel()
	if shepherd.Topic != system.EventsTopic {
		t.Errorf("shepherds write to %q, retrievers read %q", shepherd.Topic, system.EventsTopic)
	}
}
