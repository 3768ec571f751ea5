package kafka

import (
	"errors"
	"fmt"
	"net"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

// refusals are the broker's answers that are given before anything is appended.
//
// NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION are not among them: a leader that is deposed while a produce
// waits for its followers answers so, although it has appended (KAFKA-13574). Neither are timeouts nor
// NOT_ENOUGH_REPLICAS_AFTER_APPEND.
var refusals = []sarama.KError{
	sarama.ErrNotEnoughReplicas,
	sarama.ErrMessageSizeTooLarge,
	sarama.ErrMessageSetSizeTooLarge,
	sarama.ErrInvalidTopic,
	sarama.ErrTopicAuthorizationFailed,
	sarama.ErrClusterAuthorizationFailed,
	sarama.ErrInvalidRequiredAcks,
	sarama.ErrInvalidTimestamp,
	sarama.ErrUnsupportedForMessageFormat,
	sarama.ErrPolicyViolation,
}

// classify gives the final error of a record its outcome. attempts is how often the record was put into a request: the
// error tells of the last attempt only, so after more than one nothing is certain.
func classify(err error, attempts int) error {
	if attempts == 0 || attempts == 1 && refusedBy(err) {
		if errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) {
			return fmt.Errorf("%w: %w: %w", port.ErrRefused, port.ErrTooLarge, err)
		}
		return fmt.Errorf("%w: %w", port.ErrRefused, err)
	}
	return fmt.Errorf("%w after %d attempts: %w", port.ErrUnknown, attempts, err)
}

// refusedBy says whether the error of one attempt proves that nothing was appended.
func refusedBy(err error) bool {
	for _, k := range refusals {
		if errors.Is(err, k) {
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
