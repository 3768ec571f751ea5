package containers

import (
	"fmt"

	"github.com/moby/moby/api/types/container"
)

// NotReadyError says that a node was started and did not get ready. What it printed says why, if anything does.
type NotReadyError struct {
	Node string
	Why  string
	// Said is what it printed last; empty if it printed nothing.
	Said string
	// Machine says that it may be for the machine: the node had too little memory or time. Else it has ended by itself.
	Machine bool
	Err     error // such as that the time was up; nil if it has ended
}

// Error implements error.
func (e *NotReadyError) Error() string {
	said := "it printed nothing"
	if e.Said != "" {
		said = "its last output:\n" + e.Said
	}
	return fmt.Sprintf("node %s %s; %s", e.Node, e.Why, said)
}

// Unwrap implements errors.Unwrap.
func (e *NotReadyError) Unwrap() error { return e.Err }

// endedBy is the error of a node whose process ended before it was ready.
func endedBy(name string, st container.State, said string) *NotReadyError {
	// Which is how the kernel ends what takes too much memory, also where the engine has not noticed.
	const killed = 128 + 9
	e := &NotReadyError{Node: name, Why: fmt.Sprintf("exited with code %d instead of getting ready", st.ExitCode), Said: said, Machine: st.OOMKilled || st.ExitCode == killed}
	if e.Machine {
		e.Why = fmt.Sprintf("was killed (exit code %d), probably for want of memory, before it was ready", st.ExitCode)
	}
	return e
}
