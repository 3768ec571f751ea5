package port

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrFenced: a leader with a higher epoch has been here, so the caller leads no more.
var ErrFenced = errors.New("fenced: a later leader has been here")

// Evaluation is one evaluation of a trigger or burn alert (Alert is its definition's ID) for one window.
type Evaluation struct {
	Alert  int64
	Window int64 // Unix time of the window's end, in nanoseconds: a multiple of the alert's frequency
	Epoch  int64 // the leader's fencing epoch
	By     string
	At     time.Time // when it was made
	// Stale: the data were not fresh enough within the time allowed, so nothing was decided and Triggered is as before.
	Stale     bool
	Triggered bool // the condition holds
	// Fires: this evaluation sends an alert (or, with Resolves, the notice that it is over).
	Fires    bool
	Resolves bool
	// Value is what was compared with the threshold; the most offending group's. It is finite.
	Value float64
	// Notice is the alert's body as it is sent, when Fires or Resolves: kept byte for byte, at most MaxBodyBytes.
	Notice json.RawMessage
	// Delivered is when every recipient had taken it; zero: not yet.
	Delivered time.Time
}

// Place is where an evaluation is among those of all alerts, in the order of windows and of one window by alert. The zero
// place is before all.
type Place struct{ Window, Alert int64 }

// Place is e's.
func (e *Evaluation) Place() Place { return Place{e.Window, e.Alert} }

// Compare orders the places of evaluations.
func (p Place) Compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Window, o.Window), cmp.Compare(p.Alert, o.Alert))
}

// Before says whether p, which may be the zero place, comes before an evaluation's.
func (p Place) Before(o Place) bool { return p == (Place{}) || p.Compare(o) < 0 }

// Evaluations is the part of the metadata store that makes alerting effective once per window. Each operation is one
// transaction and can be repeated when its outcome is unknown. Epochs are not negative.
type Evaluations interface {
	// Record stores an evaluation if its epoch is not below the highest that any Record or Lead of the role has shown
	// (else ErrFenced), and raises that. If the alert's window was recorded before, that evaluation is returned and
	// recorded is false: at most one is ever effective. ErrNotFound: there is no such definition (any more).
	Record(ctx context.Context, e Evaluation) (stored Evaluation, recorded bool, err error)
	// Lead raises the highest epoch seen, so that whoever leads under a lower one is fenced from now on. ErrFenced if a
	// higher one was seen.
	Lead(ctx context.Context, epoch int64, by string) error
	// Epoch is the highest epoch seen, and who showed it first; 0 and nobody before any was.
	Epoch(ctx context.Context) (epoch int64, by string, err error)
	// LastEvaluation is the one of the latest window; ErrNotFound if there is none.
	LastEvaluation(ctx context.Context, alert int64) (Evaluation, error)
	// EvaluationsOf lists an alert's evaluations of windows from <= Window < to, ascending. Those of a deleted alert are
	// gone.
	EvaluationsOf(ctx context.Context, alert, from, to int64) ([]Evaluation, error)
	// Undelivered lists evaluations that fire or resolve and are not delivered, oldest window first and of one window by
	// alert, those after a place in that order, at most limit.
	Undelivered(ctx context.Context, after Place, limit int) ([]Evaluation, error)
	// Delivered marks one as delivered; nil if it is already, and the time stays. The zero time is refused. ErrNotFound if it was never recorded, or
	// its alert is deleted.
	Delivered(ctx context.Context, alert, window int64, at time.Time) error
}
