package telemetry

import (
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Field is one named value of what a role says. Names are dotted lower case; see [Catalogue].
type Field = event.Field

// Int is a whole number.
func Int(name string, v int64) Field { return Field{Name: name, Value: event.IntValue(v)} }

// Float is a number.
func Float(name string, v float64) Field { return Field{Name: name, Value: event.FloatValue(v)} }

// Bool is a boolean.
func Bool(name string, v bool) Field { return Field{Name: name, Value: event.BoolValue(v)} }

// Text is a text.
func Text(name, v string) Field { return Field{Name: name, Value: event.StringValue(v)} }

// Millis is a duration in milliseconds. Its name ends in _ms.
func Millis(name string, d time.Duration) Field {
	return Float(name, float64(d)/float64(time.Millisecond))
}
