package mysql

import (
	"math"

	"github.com/cespare/xxhash/v2"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

type op uint8

const (
	opHello op = iota + 1 // the handshake
	opCommit
	opVersion
	opTeamByKey
	opDataset
	opDatasetByID
	opDatasets
	opColumns
	opCreateTeam // from here on: those that write
	opSetTeamLimits
	opCreateDataset
	opSetDatasetLimits
	opDeleteDataset
	opAddColumns
)

func (o op) writes() bool { return o >= opCreateTeam }

// packetBytes is about what a statement or a row takes.
const packetBytes = 120

// request is immutable once it is sent.
type request struct {
	op                    op
	id, team              int64
	key, name             string
	limits, datasetLimits port.Limits
	spread                int
	of                    int32
	columns               []port.Column
}

func (r *request) message() simnet.Message {
	sum := uint64(r.op)<<56 ^ uint64(r.id)*3 ^ uint64(r.team)*5 ^ xxhash.Sum64String(r.key) ^ xxhash.Sum64String(r.name)*7 ^
		limitsSum(r.limits)*11 ^ limitsSum(r.datasetLimits)*13
	size := packetBytes + len(r.key) + len(r.name)
	for _, c := range r.columns {
		sum = sum*31 ^ xxhash.Sum64String(c.Name) ^ uint64(c.Types)
		size += len(c.Name) + 8
	}
	return simnet.Message{Body: r, Size: size, Sum: sum}
}

func limitsSum(l port.Limits) uint64 {
	return math.Float64bits(l.EventsPerSecond) ^ math.Float64bits(l.Burst)*3
}

// code is the kind of a server's error.
type code uint8

const (
	codeOK code = iota
	codeNotFound
	codeTooManyColumns
	codeNoTable   // 1146
	codeLockWait  // 1205
	codeDeadlock  // 1213
	codeTooMany   // 1041, out of resources: the statement was not executed
	codeNoCommand // a commit without a transaction, which the client never sends
)

func (c code) String() string {
	return [...]string{"OK", "no such row", "too many columns", "Error 1146: table doesn't exist", "Error 1205: Lock wait timeout exceeded",
		"Error 1213: Deadlock found", "Error 1041: Out of memory", "no transaction"}[c]
}

type reply struct {
	code     code
	version  int64
	team     port.Team
	datasets []port.Dataset
	created  bool
	columns  []port.Column
}

func (r *reply) message() simnet.Message {
	sum := uint64(r.code)<<48 ^ uint64(r.version)*3 ^ uint64(r.team.ID)*5 ^ limitsSum(r.team.Limits)
	size := packetBytes
	for i := range r.datasets {
		sum = sum*31 ^ uint64(r.datasets[i].ID) ^ limitsSum(r.datasets[i].Limits)
		size += packetBytes
	}
	for _, c := range r.columns {
		sum = sum*31 ^ xxhash.Sum64String(c.Name) ^ uint64(c.Types)
		size += len(c.Name) + 8
	}
	return simnet.Message{Body: r, Size: size, Sum: sum}
}
