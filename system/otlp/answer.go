package otlp

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Code is a gRPC status code, which OTLP's errors over HTTP carry, too.
type Code int

// Codes that are answered with.
const (
	OK                Code = 0
	InvalidArgument   Code = 3
	DeadlineExceeded  Code = 4
	PermissionDenied  Code = 7
	ResourceExhausted Code = 8
	Unimplemented     Code = 12
	Internal          Code = 13
	Unavailable       Code = 14
	Unauthenticated   Code = 16
)

// String names the signal.
func (s Signal) String() string { return [...]string{"traces", "logs", "metrics"}[s] }

// Path is where a signal's requests are posted over HTTP.
func (s Signal) Path() string { return "/v1/" + s.String() }

// Method is the full name of a signal's Export method over gRPC.
func (s Signal) Method() string {
	return [...]string{
		"/opentelemetry.proto.collector.trace.v1.TraceService/Export",
		"/opentelemetry.proto.collector.logs.v1.LogsService/Export",
		"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
	}[s]
}

// AppendSuccess appends the Export…ServiceResponse of a request that was taken, but for rejected items, which can never be:
// why then says what is wrong with them. Without any it is empty.
func AppendSuccess(dst []byte, rejected int64, why string) []byte {
	if rejected == 0 && why == "" {
		return dst
	}
	var partial []byte
	if rejected != 0 {
		partial = binary.AppendUvarint(append(partial, 1<<3|typeVarint), uint64(rejected))
	}
	if why != "" {
		partial = appendField(partial, 2, why)
	}
	return appendField(dst, 1, string(partial))
}

// AppendSuccessJSON is [AppendSuccess] in JSON.
func AppendSuccessJSON(dst []byte, signal Signal, rejected int64, why string) []byte {
	if rejected == 0 && why == "" {
		return append(dst, "{}"...)
	}
	name := [...]string{"rejectedSpans", "rejectedLogRecords", "rejectedDataPoints"}[signal]
	dst = append(append(append(dst, `{"partialSuccess":{"`...), name...), `":"`...)
	dst = append(strconv.AppendInt(dst, rejected, 10), `","errorMessage":`...)
	return append(event.AppendJSONString(dst, why), "}}"...)
}

// AppendStatus appends a google.rpc.Status: an error. retry, if above 0, is when to try again, as a RetryInfo.
func AppendStatus(dst []byte, code Code, text string, retry time.Duration) []byte {
	if code != 0 {
		dst = binary.AppendUvarint(append(dst, 1<<3|typeVarint), uint64(code))
	}
	dst = appendField(dst, 2, text)
	if retry <= 0 {
		return dst
	}
	var delay []byte
	if s := retry / time.Second; s > 0 {
		delay = binary.AppendUvarint(append(delay, 1<<3|typeVarint), uint64(s))
	}
	if n := retry % time.Second; n > 0 {
		delay = binary.AppendUvarint(append(delay, 2<<3|typeVarint), uint64(n))
	}
	info := appendField(nil, 1, string(delay))
	detail := appendField(nil, 1, "type.googleapis.com/google.rpc.RetryInfo")
	detail = appendField(detail, 2, string(info))
	return appendField(dst, 3, string(detail))
}

// AppendStatusJSON is [AppendStatus] in JSON.
func AppendStatusJSON(dst []byte, code Code, text string) []byte {
	dst = strconv.AppendInt(append(dst, `{"code":`...), int64(code), 10)
	return append(event.AppendJSONString(append(dst, `,"message":`...), text), '}')
}

func appendField(dst []byte, field byte, s string) []byte {
	dst = append(dst, field<<3|typeBytes)
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
