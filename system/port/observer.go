package port

import "context"

// Observer takes what roles say about themselves. It stands outside of the pipeline that it observes: another, smaller
// copy of it, or the run's own collector.
type Observer interface {
	// Observe hands over a batch of wide events in the form of the batch API (a JSON array of objects with time,
	// samplerate and data) for one dataset, which is the role's name. It blocks until the observer has answered or ctx ends.
	// An error that matches [ErrRefused] says that nothing of it was taken, a [*telemetry.PartlyTakenError] how much of it;
	// after any other, something may have been.
	Observe(ctx context.Context, dataset string, batch []byte) error
}
