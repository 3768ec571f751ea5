package mysql

import (
	"math"
	"time"

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
	opDefinition
	opDefinitionsOf
	opProgressOf
	opSLOCounts
	opEpoch
	opLastEvaluation
	opEvaluationsOf
	opUndelivered
	opCreateTeam // from here on: those that write
	opSetTeamLimits
	opCreateDataset
	opSetDatasetLimits
	opDeleteDataset
	opAddColumns
	opDefine
	opRedefine
	opUndefine
	opAdvance
	opRecord
	opLead
	opDelivered
	opWidenDataset
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
	partitions            []int32

	definition *port.Definition
	kinds      []port.DefinitionKind
	advance    *port.Advance // its counts by SLO and minute
	evaluation *port.Evaluation
	from, to   int64 // minutes or windows; from is also an epoch, to a limit
	at         time.Time
}

func (r *request) message() simnet.Message {
	sum := uint64(r.op)<<56 ^ uint64(r.id)*3 ^ uint64(r.team)*5 ^ xxhash.Sum64String(r.key) ^ xxhash.Sum64String(r.name)*7 ^
		limitsSum(r.limits)*11 ^ limitsSum(r.datasetLimits)*13
	size := packetBytes + len(r.key) + len(r.name)
	for _, p := range r.partitions {
		sum = sum*37 ^ uint64(p)
	}
	for _, c := range r.columns {
		sum = sum*31 ^ xxhash.Sum64String(c.Name) ^ uint64(c.Types)
		size += len(c.Name) + 8
	}
	sum += uint64(r.from)*17 ^ uint64(r.to)*19
	switch {
	case r.definition != nil:
		sum = sum*31 ^ definitionSum(r.definition)
		size += len(r.definition.Name) + len(r.definition.Body)
	case r.advance != nil:
		sum = sum*31 ^ uint64(r.advance.Partition)*3 ^ uint64(r.advance.From)*5 ^ uint64(r.advance.To)*7 ^ countsSum(r.advance.Counts)
		size += countBytes * len(r.advance.Counts)
	case r.evaluation != nil:
		sum = sum*31 ^ evaluationSum(r.evaluation)
		size += len(r.evaluation.Notice)
	}
	return simnet.Message{Body: r, Size: size, Sum: sum}
}

// countBytes is about what a count takes.
const countBytes = 32

func definitionSum(d *port.Definition) uint64 {
	return uint64(d.ID)*3 ^ uint64(d.Version)*5 ^ uint64(d.Dataset)*7 ^ xxhash.Sum64String(d.Name)*11 ^ uint64(len(d.Body))*13
}

func countsSum(counts []port.SLOCount) (sum uint64) {
	for _, n := range counts {
		sum = sum*31 ^ uint64(n.SLO) ^ uint64(n.Minute)*3 ^ uint64(n.Good)*5 ^ uint64(n.Total)*7
	}
	return sum
}

func evaluationSum(e *port.Evaluation) uint64 {
	sum := uint64(e.Alert)*3 ^ uint64(e.Window)*5 ^ uint64(e.Epoch)*7 ^ math.Float64bits(e.Value)*11 ^ uint64(len(e.Notice))*13
	for i, b := range []bool{e.Stale, e.Triggered, e.Fires, e.Resolves, e.Delivered.IsZero()} {
		if b {
			sum ^= 1 << i
		}
	}
	return sum
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
	codeNameTaken
	codeNotThere
	codeFenced
	codeNoTable   // 1146
	codeLockWait  // 1205
	codeDeadlock  // 1213
	codeTooMany   // 1041, out of resources: the statement was not executed
	codeNoCommand // a commit without a transaction, which the client never sends
)

func (c code) String() string {
	return [...]string{"OK", "no such row", "too many columns", "the name is taken", "the progress is elsewhere", "fenced", "Error 1146: table doesn't exist", "Error 1205: Lock wait timeout exceeded",
		"Error 1213: Deadlock found", "Error 1041: Out of memory", "no transaction"}[c]
}

type reply struct {
	code     code
	version  int64
	team     port.Team
	datasets []port.Dataset
	created  bool
	columns  []port.Column

	definitions []port.Definition
	progress    []port.Progress
	counts      []port.SLOCount
	evaluations []port.Evaluation
	by          string
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
	for i := range r.definitions {
		sum = sum*31 ^ definitionSum(&r.definitions[i])
		size += packetBytes + len(r.definitions[i].Body)
	}
	for i := range r.progress {
		sum = sum*31 ^ uint64(r.progress[i].Partition) ^ uint64(r.progress[i].Next)*3
		size += packetBytes
	}
	sum = sum*31 ^ countsSum(r.counts)
	size += countBytes * len(r.counts)
	for i := range r.evaluations {
		sum = sum*31 ^ evaluationSum(&r.evaluations[i])
		size += packetBytes + len(r.evaluations[i].Notice)
	}
	return simnet.Message{Body: r, Size: size, Sum: sum}
}
