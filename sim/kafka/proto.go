package kafka

import (
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

const (
	noBroker int32 = -1
	noEpoch  int32 = -1
	noOffset int64 = -1

	service = "kafka" // what brokers listen on
)

// code is a Kafka error code, by the protocol's names.
type code int8

const (
	codeNone code = iota
	codeOffsetOutOfRange
	codeUnknownTopicOrPartition
	codeNotLeaderOrFollower
	codeRequestTimedOut
	codeMessageTooLarge
	codeNotEnoughReplicas
	codeNotEnoughReplicasAfterAppend
	codeFencedLeaderEpoch
	codeUnknownLeaderEpoch
	codeOffsetNotAvailable
	codeNotController
	codeStaleControllerEpoch
	codeStaleBrokerEpoch
	codeInvalidUpdateVersion
	codeIneligibleReplica
	codeTopicAlreadyExists
	codeInvalidReplicationFactor
	codeInvalidReplicaAssignment
	codeInvalidPartitions
	codeInvalidTopic
	codeInvalidRequiredAcks
	codeUnknownServerError
	codeCoordinatorNotAvailable
	codeCoordinatorLoadInProgress
	codeNotCoordinator
	codeIllegalGeneration
	codeInconsistentGroupProtocol
	codeInvalidGroupID
	codeUnknownMemberID
	codeInvalidSessionTimeout
	codeRebalanceInProgress
	codeMemberIDRequired
	codeFencedInstanceID
	codeOutOfOrderSequenceNumber
	codeInvalidProducerEpoch
)

var codeNames = [...]string{
	"NONE", "OFFSET_OUT_OF_RANGE", "UNKNOWN_TOPIC_OR_PARTITION", "NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT",
	"MESSAGE_TOO_LARGE", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "FENCED_LEADER_EPOCH",
	"UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE", "NOT_CONTROLLER", "STALE_CONTROLLER_EPOCH", "STALE_BROKER_EPOCH",
	"INVALID_UPDATE_VERSION", "INELIGIBLE_REPLICA", "TOPIC_ALREADY_EXISTS", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT",
	"INVALID_PARTITIONS", "INVALID_TOPIC_EXCEPTION", "INVALID_REQUIRED_ACKS", "UNKNOWN_SERVER_ERROR",
	"COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "ILLEGAL_GENERATION",
	"INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT",
	"REBALANCE_IN_PROGRESS", "MEMBER_ID_REQUIRED", "FENCED_INSTANCE_ID", "OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH",
}

// String implements fmt.Stringer.
func (c code) String() string { return codeNames[c] }

// tpRef is a topic partition, interned once per cluster so that the hot path indexes instead of hashing. It is a name:
// immutable, the same on every node.
type tpRef struct {
	topic string
	part  int32
	idx   int
}

// Requests and responses. Bodies are immutable once sent.
type (
	produceRequest struct {
		acks    port.Acks
		timeout time.Duration
		parts   []producePart
		inline  [1]producePart
	}
	producePart struct {
		ref   *tpRef
		recs  []port.Record
		bytes int
		sum   uint64
		seq   sequence
	}
	produceResponse struct {
		parts  []producedPart
		inline [1]producedPart
	}
	producedPart struct {
		ref  *tpRef
		code code
		base int64
	}

	initProducerIDRequest  struct{}
	initProducerIDResponse struct{ producer int64 }

	fetchRequest struct {
		replica     int32 // the follower's broker id, or noBroker for a consumer
		brokerEpoch int64
		full        bool // begins a new fetch session: the response leaves nothing out
		maxWait     time.Duration
		maxBytes    int
		parts       []fetchPart
		spent       *fetchResponse // the last response, which the asker has done with: to be filled in again
		inline      [2]fetchPart   // room for the usual few, as in the other messages of the hot path
	}
	fetchPart struct {
		ref    *tpRef
		offset int64
		epoch  int32 // the leader epoch that the fetcher believes in, or noEpoch
	}
	fetchResponse struct { // session semantics: only partitions with something to say
		parts  []fetchedPart
		inline [2]fetchedPart
	}
	fetchedPart struct {
		ref     *tpRef
		code    code
		hw      int64
		start   int64
		batches []*batch
	}

	epochEndRequest struct{ parts []epochEndPart }
	epochEndPart    struct {
		ref          *tpRef
		currentEpoch int32
		askedEpoch   int32
	}
	epochEndResponse struct{ parts []epochEnd }
	epochEnd         struct {
		ref   *tpRef
		code  code
		epoch int32
		end   int64
	}

	listOffsetsRequest struct {
		ref      *tpRef
		epoch    int32
		earliest bool
	}
	listOffsetsResponse struct {
		code   code
		offset int64
	}

	metadataRequest  struct{ topics []string } // nil: brokers only
	metadataResponse struct {
		brokers    []brokerAddr
		controller int32
		topics     []topicMetadata
	}
	brokerAddr struct {
		id   int32
		name string
	}
	topicMetadata struct {
		name  string
		code  code
		parts []partitionMetadata
	}
	partitionMetadata struct {
		ref       *tpRef
		leader    int32
		epoch     int32
		partEpoch int32
		replicas  []int32
		isr       []int32
	}

	createTopicRequest  struct{ spec port.TopicSpec }
	createTopicResponse struct{ code code }

	// createPartitionsRequest asks for more partitions, total in all.
	createPartitionsRequest struct {
		topic string
		total int32
	}
	createPartitionsResponse struct{ code code }

	// leaderAndISR is one partition as the controller orders it.
	leaderAndISR struct {
		ref             *tpRef
		controllerEpoch int32
		leader          int32
		leaderEpoch     int32
		partEpoch       int32
		isr             []int32
		replicas        []int32
		minISR          int
	}
	leaderAndISRRequest struct {
		controller      int32
		controllerEpoch int32
		brokerEpoch     int64
		parts           []leaderAndISR
	}
	updateMetadataRequest struct {
		controller      int32
		controllerEpoch int32
		brokerEpoch     int64
		brokers         []brokerAddr
		parts           []leaderAndISR
	}
	stopReplicaRequest struct {
		controllerEpoch int32
		brokerEpoch     int64
		parts           []*tpRef
		leaderEpochs    []int32
	}
	ackResponse struct{ code code }

	alterPartitionRequest struct {
		broker      int32
		brokerEpoch int64
		ref         *tpRef
		leaderEpoch int32
		partEpoch   int32
		isr         []int32
	}
	alterPartitionResponse struct {
		code      code
		partEpoch int32
		isr       []int32
	}

	controlledShutdownRequest struct {
		broker      int32
		brokerEpoch int64
	}
	controlledShutdownResponse struct {
		code      code
		remaining int
	}
)

// Sizes on the wire, in bytes, near enough for the bandwidth and service-time models.
const (
	headerBytes      = 40 // request or response header, client id, topic name
	perPartBytes     = 24
	batchHeaderBytes = 61 // magic v2 record batch
	recordOverhead   = 8  // varints of a record in a v2 batch
)

// sizeOfRecord is what a record takes in a batch.
func sizeOfRecord(r *port.Record) int { return recordOverhead + len(r.Key) + len(r.Value) }
