package s3

import (
	"github.com/cespare/xxhash/v2"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

type op uint8

const (
	opPut op = iota + 1
	opGet
	opHead
	opList
	opDelete
	opBegin
	opPart
	opComplete
	opAbort
)

func (o op) writes() bool { return o != opGet && o != opHead && o != opList }

// headerBytes is about what an S3 request or answer takes beside its data: signature, dates, XML.
const headerBytes = 500

// request is immutable once it is sent, its data included.
type request struct {
	op     op
	key    string // or the prefix to list
	data   []byte
	sum    uint64 // of data
	cond   port.Condition
	ranged bool
	off    int64
	length int64
	after  string
	limit  int
	upload string
	number int32
	parts  []port.Part
}

func (r *request) message() simnet.Message {
	sum := uint64(r.op)<<56 ^ xxhash.Sum64String(r.key) ^ r.sum*3 ^ xxhash.Sum64String(r.cond.IfMatch)*5 ^
		uint64(r.off)*7 ^ uint64(r.length)*11 ^ uint64(r.number)*13 ^ xxhash.Sum64String(r.upload)*17 ^ xxhash.Sum64String(r.after)*19
	return simnet.Message{Body: r, Size: headerBytes + len(r.data) + 64*len(r.parts), Sum: sum}
}

// code is an S3 error code.
type code uint8

const (
	codeOK code = iota
	codeNoSuchKey
	codeNoSuchUpload
	codePrecondition
	codeInvalidRange
	codeInvalidPart
	codeInvalidPartOrder
	codePartTooSmall
	codeSlowDown
	codeInternal
)

func (c code) String() string {
	return [...]string{"OK", "NoSuchKey", "NoSuchUpload", "PreconditionFailed", "InvalidRange", "InvalidPart",
		"InvalidPartOrder", "EntityTooSmall", "SlowDown", "InternalError"}[c]
}

type reply struct {
	code   code
	info   port.BlobInfo
	data   []byte
	page   []port.BlobInfo
	more   bool
	upload string
}

func (r *reply) message() simnet.Message {
	sum := uint64(r.code)<<48 ^ xxhash.Sum64String(r.info.ETag) ^ uint64(len(r.data))*3 ^ uint64(len(r.page))*5
	for i := range r.page {
		sum = sum*31 ^ xxhash.Sum64String(r.page[i].Key) ^ xxhash.Sum64String(r.page[i].ETag)
	}
	return simnet.Message{Body: r, Size: headerBytes + len(r.data) + 200*len(r.page), Sum: sum}
}
