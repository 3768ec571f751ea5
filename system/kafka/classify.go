package kafka

import (
	"errors"
	"fmt"
	"net"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

// refusal is a broker's answer that is given before anything is appended.
type refusal struct {
	answer sarama.KError
	// passing ones are retried by Sarama.
	passing bool
}

// NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION are not among them: a leader that is deposed while a produce
// waits for its followers answers so, although it has appended (KAFKA-13574). Neither are timeouts nor
// NOT_ENOUGH_REPLICAS_AFTER_APPEND.
var refusals = []refusal{
	{answer: sarama.ErrNotEnoughReplicas, passing: true},
	{answer: sarama.ErrMessageSizeTooLarge},
	{answer: sarama.ErrMessageSetSizeTooLarge},
	{answer: sarama.ErrInvalidTopic},
	{answer: sarama.ErrTopicAuthorizationFailed},
	{answer: sarama.ErrClusterAuthorizationFailed},
	{answer: sarama.ErrInvalidRequiredAcks},
	{answer: sarama.ErrInvalidTimestamp},
	{answer: sarama.ErrUnsupportedForMessageFormat},
	{answer: sarama.ErrPolicyViolation},
}

// classify gives the final error of a record its outcome. encoded is how often the record was put into a request, and
// retries whether Sarama may have sent it more often than that: a batch whose connection was lost is sent again without
// being encoded again. The error tells of the last attempt only, so after such a retry nothing is certain: that nobody
// listens any more, or that replicas are missing now, says nothing of the attempt whose answer never came.
func classify(err error, encoded int, retries bool) error {
	if encoded == 0 || encoded == 1 && refusedBy(err, retries) {
		if errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) {
			return fmt.Errorf("%w: %w: %w", port.ErrRefused, port.ErrTooLarge, err)
		}
		return fmt.Errorf("%w: %w", port.ErrRefused, err)
	}
	return fmt.Errorf("%w after %d attempts or more: %w", port.ErrUnknown, encoded, err)
}

// refusedBy says whether a record's last error proves that nothing was appended.
func refusedBy(err error, retries bool) bool {
	for _, r := range refusals {
		if errors.Is(err, r.answer) {
			return !retries || !r.passing
		}
	}
	var encoding sarama.PacketEncodingError
	var op *net.OpError
	switch {
	case errors.As(err, &encoding): // could not be put on the wire
		return true
	case errors.As(err, &op) && op.Op == "dial": // there was no connection
		return !retries
	}
	return false
}
