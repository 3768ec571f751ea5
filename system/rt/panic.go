package rt

import "fmt"

// PanicError is a panic in a task: a crash of its process. Stack is the stack of the panic itself, guilty frame included.
type PanicError struct {
	Task  string
	Value any
	Stack []byte
}

// Error implements error. It carries the stack, because it is all that will be known.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic in task %s: %v\n%s", e.Task, e.Value, e.Stack)
}

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
