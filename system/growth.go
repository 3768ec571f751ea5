package system

import "slices"

// Grown is the topology when the events topic has so many partitions, if it did not have as many before. Those that there
// were keep their retrievers, names and zones.
func (t Topology) Grown(partitions int32) Topology {
	t.Kafka.Partitions = max(t.Kafka.Partitions, partitions)
	return t
}

// Whole is the topology with all that it grows to.
func (t Topology) Whole() Topology { return t.Grown(t.Kafka.PartitionsLater) }

// Waits says whether a node of the whole topology does not run from the start.
func (t Topology) Waits(n Node) bool {
	return n.Role == RoleRetriever && n.Partition >= t.Kafka.Partitions
}

// spreadOf is over how many partitions the topic must be spread for a dataset to be as it is.
func spreadOf(partitions int32, set []int32) int32 {
	if len(set) == 0 {
		return partitions
	}
	return max(partitions, slices.Max(set)+1)
}
