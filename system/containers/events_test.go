package containers

import (
	"testing"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// Lines as Kafka 3.9.1 and its ZooKeeper print them.
func TestEventsAreReadFromLogs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role system.Role
		line string
		want port.Event // zero: none
	}{
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  Partition [Partition events-3 broker=1] ISR updated to 1,2  and version updated to 5\n",
			port.Event{Kind: port.EventISRChanged, Node: "kafka1", Topic: "events", Part: 3, Detail: "ISR 1,2"}},
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  Partition [Partition __consumer_offsets-3 broker=1] ISR updated to 1,2  and version updated to 5\n", port.Event{}},
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  logger [Broker id=1] Leader events-4 with topic id Some(abc) starts at leader epoch 1 from offset 20 with partition epoch 3, high watermark 20\n",
			port.Event{Kind: port.EventLeaderElected, Node: "kafka1", Topic: "events", Part: 4, Detail: "epoch 1 from offset 20"}},
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  UnifiedLog [UnifiedLog partition=events-0, dir=/data/kafka] Truncating to offset 17\n",
			port.Event{Kind: port.EventLogTruncated, Node: "kafka1", Topic: "events", Part: 0, Detail: "to offset 17"}},
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  UnifiedLog [UnifiedLog partition=events-0, dir=/data/kafka] Truncating to 17 has no effect as the largest offset in the log is 16\n", port.Event{}},
		{system.RoleKafka, "2026-11-21 04:26:10,001 INFO  KafkaController [Controller id=1] 1 successfully elected as the controller. Epoch incremented to 2\n",
			port.Event{Kind: port.EventControllerUp, Node: "kafka1", Detail: "broker 1"}},
		{system.RoleKafka, "2026-11-21 11:33:45,462 INFO  GroupCoordinator [GroupCoordinator 1]: Preparing to rebalance group beagle in state PreparingRebalance with old generation 1 (__consumer_offsets-2) (reason: Adding new member beagle1-6689 with group instance id None; client reason: not provided) (kafka.coordinator.group.GroupCoordinator)\n",
			port.Event{Kind: port.EventGroupRebalance, Node: "kafka1", Detail: "group beagle from generation 1: Adding new member beagle1-6689 with group instance id None"}},
		{system.RoleKafka, "2026-11-21 11:33:45,462 INFO  GroupCoordinator [GroupCoordinator 1]: Member beagle1-4149 in group beagle has failed, removing it from the group\n",
			port.Event{Kind: port.EventGroupEvicted, Node: "kafka1", Detail: "member beagle1-4149 of group beagle"}},
		{system.RoleZooKeeper, "2026-11-21 04:26:10,001 INFO  ZooKeeperServer Expiring session 0x100003c6f3c0001, timeout of 3000ms exceeded\n",
			port.Event{Kind: port.EventSessionExpired, Node: "zk1", Detail: "session 0x100003c6f3c0001, silent for 3000 ms"}},
		{system.RoleRetriever, `{"Kind":"partition.claimed","Topic":"events","Part":2}` + "\n",
			port.Event{Kind: port.EventClaimed, Node: "retriever1", Topic: "events", Part: 2}},
		{system.RoleShepherd, "goroutine 1 [running]:\n", port.Event{}},
	} {
		n := system.Node{Name: system.NodeName(tt.role, 1), Role: tt.role, Number: 1}
		got, ok := reader(n)(tt.line)
		if ok != (tt.want != port.Event{}) || ok && got != tt.want {
			t.Errorf("%s: %q\ngot  %+v\nwant %+v", tt.role, tt.line, got, tt.want)
		}
	}
}

func TestZooKeeperStateIsRead(t *testing.T) {
	t.Parallel()
	st, ok := parseSrvr("Zookeeper version: 3.8.4\nLatency min/avg/max: 0/0.0/0\nReceived: 1\nZxid: 0x300000012\nMode: leader\nNode count: 5\n")
	if !ok || st.mode != "leader" || st.zxid != 0x300000012 {
		t.Errorf("got %+v, %v", st, ok)
	}
	if _, ok := parseSrvr("This ZooKeeper instance is not currently serving requests\n"); ok {
		t.Error("a node without a quorum was taken for one in service")
	}
}
