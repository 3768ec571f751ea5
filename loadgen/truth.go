package loadgen

import (
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Truth makes any event of a load again, without having seen the load. It is immutable, hence safe for concurrent use.
//
// What it says depends on the specs alone; which of the events were sent, accepted and when, is in the load's history.
type Truth struct {
	epoch  time.Time
	makers []maker
}

// NewTruth returns the truth about a load of these specs, whose history counts from epoch. Errors are [Start]'s about the specs.
func NewTruth(epoch time.Time, specs []Spec) (*Truth, error) {
	t := &Truth{epoch: epoch, makers: make([]maker, len(specs))}
	var errs []error
	for i := range specs {
		if err := specs[i].check(i); err != nil {
			errs = append(errs, err)
			continue
		}
		t.makers[i] = specs[i].maker()
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Time is the time of the event at an index of a batch that was sent at a moment of the history.
func (t *Truth) Time(sent time.Duration, index int) time.Time { return EventTime(t.epoch, sent, index) }

// Event is the whole event as it was sent, but for its ID, which a shepherd gives. at is its time: see [Truth.Time]. A
// traffic that does not exist has an event without fields.
func (t *Truth) Event(traffic int, producer uint32, seq uint64, at time.Time) event.Event {
	if traffic < 0 || traffic >= len(t.makers) {
		return event.Event{Time: at, SampleRate: 1}
	}
	return t.makers[traffic].fill(&batch{}, producer, seq, 1, at)[0]
}

// Fields is what the readers' queries look at of an event, without making the event. Producer and sequence are fields of
// it too, and known. A traffic that does not exist has none.
func (t *Truth) Fields(traffic int, producer uint32, seq uint64) Row {
	if traffic < 0 || traffic >= len(t.makers) {
		return Row{SampleRate: 1}
	}
	return t.makers[traffic].row(producer, seq)
}
