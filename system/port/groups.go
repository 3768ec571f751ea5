package port

import (
	"context"
	"errors"
	"time"
)

// Errors of the Groups port. They are a coordinator's answers, hence certain.
var (
	// ErrRebalanceInProgress: the group is between generations; the member must join again. (REBALANCE_IN_PROGRESS)
	ErrRebalanceInProgress = errors.New("the group is rebalancing")
	// ErrUnknownMember: the coordinator has evicted the member or never knew it; it must join as a new one. (UNKNOWN_MEMBER_ID)
	ErrUnknownMember = errors.New("not a member of the group")
	// ErrIllegalGeneration: the request is of a generation that is over. (ILLEGAL_GENERATION)
	ErrIllegalGeneration = errors.New("the group's generation is over")
	// ErrFencedInstance: another member has joined with the same instance ID since. (FENCED_INSTANCE_ID, KIP-345)
	ErrFencedInstance = errors.New("another member has taken the instance ID")
	// ErrCoordinatorAway: no broker coordinates the group just now, or the one that did has moved; try again.
	// (COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS)
	ErrCoordinatorAway = errors.New("the group has no coordinator just now")
)

// Groups speaks Kafka's group protocol (KIP-62, KIP-345, KIP-394, KIP-429) to the broker that coordinates a group, which
// it finds by itself. Each call is one request; an error that matches none of the above has an unknown outcome. What a
// member does with the answers is in system/group.
type Groups interface {
	// Join blocks until the group's rebalance has gathered its members, at most about JoinRequest.RebalanceTimeout. A first
	// join without member ID is answered inside with the ID that the coordinator gives (KIP-394). A reply that comes with
	// an error has that ID, if the coordinator has given one: the next attempt should use it.
	Join(ctx context.Context, r JoinRequest) (JoinReply, error)
	// Sync hands in the assignment (leader) or nothing (followers) and blocks until the leader has; it returns what was
	// assigned to the member.
	Sync(ctx context.Context, m GroupMember, assignments []GroupAssignment) ([]byte, error)
	Heartbeat(ctx context.Context, m GroupMember) error
	// Leave ends the membership at once. A static member that leaves gives its instance ID up.
	Leave(ctx context.Context, m GroupMember) error
	// Commit stores offsets of a topic's partitions: the next offset to read. It is fenced by member and generation.
	Commit(ctx context.Context, m GroupMember, topic string, offsets map[int32]int64) error
	// Committed returns a group's committed offsets of a topic; partitions without one are left out.
	Committed(ctx context.Context, group, topic string) (map[int32]int64, error)
	// Partitions is how many partitions the topic has now, as the metadata has it.
	Partitions(ctx context.Context, topic string) (int32, error)
}

// JoinRequest asks to be part of the group's next generation.
type JoinRequest struct {
	Group    string
	Member   string // "" the first time
	Instance string // group.instance.id of a static member (KIP-345); "" for a dynamic one
	ClientID string
	// SessionTimeout: without a heartbeat for that long the member is evicted.
	SessionTimeout time.Duration
	// RebalanceTimeout: a member that does not join again within it is evicted (max.poll.interval.ms).
	RebalanceTimeout time.Duration
	// Protocols are the assignors that the member can do, in order of preference, each with the member's metadata for it.
	Protocols []GroupProtocol
}

// GroupProtocol is an assignor's name and a member's metadata for it, in the assignor's own encoding.
type GroupProtocol struct {
	Name     string
	Metadata []byte
}

// JoinReply is the generation that a member has joined.
type JoinReply struct {
	Generation int32
	Member     string // the ID that the coordinator knows it by
	Leader     string // the member that assigns
	Protocol   string // the assignor that all can do
	// Members are all members of the generation, by ID; only the leader is told.
	Members []JoinedMember
}

// JoinedMember is a member as the leader is told of it.
type JoinedMember struct {
	Member   string
	Instance string
	Metadata []byte
}

// GroupMember names a member in a generation.
type GroupMember struct {
	Group      string
	Member     string
	Instance   string
	Generation int32
}

// GroupAssignment is what the leader gives a member.
type GroupAssignment struct {
	Member     string
	Assignment []byte
}
