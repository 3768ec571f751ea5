package kafka

import (
	"errors"
	"fmt"
	"net"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

// refusals are the broker's answers that are given before anything is appended, and whether the same request would be
// answered so again.
//
// NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION are not among them: a leader that is deposed while a produce
// waits for its followers answers so, although it has appended (KAFKA-13574). Neither are timeouts nor
// NOT_ENOUGH_REPLICAS_AFTER_APPEND.
var refusals = []struct {
	answer    sarama.KError
	permanent bool
}{
	{sarama.ErrNotEnoughReplicas, false},
	{sarama.ErrMessageSizeTooLarge, true},
	{sarama.ErrMessageSetSizeTooLarge, true},
	{sarama.ErrInvalidTopic, true},
	{sarama.ErrTopicAuthorizationFailed, true},
	{sarama.ErrClusterAuthorizationFailed, true},
	{sarama.ErrInvalidRequiredAcks, true},
	{sarama.ErrInvalidTimestamp, true},
	{sarama.ErrUnsupportedForMessageFormat, true},
	{sarama.ErrPolicyViolation, true},
}

// attempts is what is known of a record from all attempts to have it appended.
type attempts struct {
	n     int
	maybe bool // one of them may have appended it
}

// failed takes in how one attempt ended. sent says whether the record was put into a request.
func (a *attempts) failed(err error, sent bool) {
	a.n++
	a.maybe = a.maybe || sent && !refusedBy(err)
}

// outcome gives the last attempt's error its outcome.
func (a *attempts) outcome(err error) error {
	switch {
	case a.maybe:
		return fmt.Errorf("%w after %d attempts: %w", port.ErrUnknown, a.n, err)
	case errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge):
		return fmt.Errorf("%w: %w: %w", port.ErrRefused, port.ErrTooLarge, err)
	}
	return fmt.Errorf("%w after %d attempts: %w", port.ErrRefused, a.n, err)
}

// permanent says whether another attempt would certainly end in the same way.
func permanent(err error) bool {
	for _, r := range refusals {
		if r.permanent && errors.Is(err, r.answer) {
			return true
		}
	}
	var encoding sarama.PacketEncodingError
	return errors.As(err, &encoding) || errors.Is(err, sarama.ErrShuttingDown)
}

// refusedBy says whether the error of one attempt proves that nothing was appended.
func refusedBy(err error) bool {
	for _, r := range refusals {
		if errors.Is(err, r.answer) {
			return true
		}
	}
	var encoding sarama.PacketEncodingError
	var op *net.OpError
	switch {
	case errors.As(err, &encoding): // could not be put on the wire
		return true
	case errors.As(err, &op) && op.Op == "dial": // there was no connection
		return true
	}
	return false
}
