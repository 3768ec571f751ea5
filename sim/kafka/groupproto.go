package kafka

import (
	"hash/crc32"

	"github.com/ratel-sim/ratel/system/port"
)

// Requests of the group protocol, and their responses. Bodies are immutable once sent.
type (
	findCoordinatorRequest  struct{ group string }
	findCoordinatorResponse struct {
		code   code
		broker int32
	}

	joinGroupRequest struct {
		port.JoinRequest
	}
	joinGroupResponse struct {
		code  code
		reply port.JoinReply // Member alone with MEMBER_ID_REQUIRED
	}

	syncGroupRequest struct {
		port.GroupMember
		assignments []port.GroupAssignment
	}
	syncGroupResponse struct {
		code       code
		assignment []byte
	}

	heartbeatRequest   struct{ port.GroupMember }
	leaveGroupRequest  struct{ port.GroupMember }
	groupAckResponse   struct{ code code } // of heartbeats and leaves
	offsetFetchRequest struct{ group, topic string }

	offsetCommitRequest struct {
		port.GroupMember
		topic   string
		offsets []partOffset // in order of partitions
	}
	offsetCommitResponse struct {
		code  code
		parts []code // by index in the request, where code is none
	}
	offsetFetchResponse struct {
		code    code
		offsets []partOffset
	}

	// partOffset is a partition and the next offset to read of it.
	partOffset struct {
		part int32
		next int64
	}
)

// groupRequest is any request of the group protocol.
type groupRequest interface {
	serve(co *coordinator, c *srvConn)
}

// groupSum folds the content of a message of the group protocol into its checksum.
func groupSum(sum uint64, content ...[]byte) uint64 {
	for _, c := range content {
		sum = sum*31 + uint64(crc32.ChecksumIEEE(c))
	}
	return sum
}

func memberSum(m *port.GroupMember) uint64 {
	return groupSum(uint64(uint32(m.Generation)), []byte(m.Group), []byte(m.Member), []byte(m.Instance))
}

func memberSize(m *port.GroupMember) int {
	return headerBytes + 10 + len(m.Group) + len(m.Member) + len(m.Instance)
}
