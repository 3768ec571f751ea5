package reports

import "github.com/ratel-sim/ratel/system/port"

// announcementRank orders kinds of announcements by how much they tell about data: small is more.
func announcementRank(kind string) int {
	switch kind {
	case port.EventLogTruncated:
		return 0
	case port.EventLeaderElected:
		return 1
	case port.EventISRChanged:
		return 2
	case port.EventControllerUp:
		return 3
	case port.EventSessionExpired, port.EventClaimLost, port.EventClaimed:
		return 4
	case port.EventLeaderUp, port.EventLeaderDown, port.EventGroupRebalance, port.EventGroupEvicted, port.EventAlertStale, port.EventProgressLost:
		return 5
	case port.EventShed, port.EventPartitionSick, port.EventPartitionWell:
		return 5
	case port.EventNodeStarted, port.EventNodeStopped, port.EventRecovered:
		return 6
	}
	return 7
}
