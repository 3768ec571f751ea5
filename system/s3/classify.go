package s3

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ratel-sim/ratel/system/port"
)

var (
	// errNotSent: no connection could be made, so that nothing was sent.
	errNotSent = errors.New("no connection")
	// errRange: the object ends before the range that was asked for.
	errRange = errors.New("the object ends before the range")
)

// classify maps an attempt's error to what the port says of outcomes.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	status := 0
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		status = resp.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchKey" || code == "NoSuchUpload" || status == http.StatusNotFound && code != "NoSuchBucket":
		return fmt.Errorf("%w: %w", port.ErrNoBlob, err)
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", port.ErrPrecondition, err)
	case code == "InvalidRange" || status == http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: %w", errRange, err)
	case code == "SlowDown" || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests,
		code == "ConditionalRequestConflict" || code == "OperationAborted": // another conditional write was under way: this one was not done
		return fmt.Errorf("%w: %w (%w)", port.ErrSlowDown, err, port.ErrRefused)
	case status >= 400 && status < 500:
		return fmt.Errorf("%w (%w)", err, port.ErrRefused)
	case status != 0:
		return fmt.Errorf("%w (%w)", err, port.ErrUnknown)
	case beforeSending(err):
		return fmt.Errorf("%w: %w (%w)", errNotSent, err, port.ErrRefused)
	default:
		return fmt.Errorf("%w (%w)", err, port.ErrUnknown)
	}
}

// beforeSending reports whether an attempt failed for want of a connection.
func beforeSending(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
