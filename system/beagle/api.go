package beagle

// Status is what a worker says about itself.
type Status struct {
	Node       string
	Member     string // its member ID in the group; empty before it has joined
	Generation int32  // of the group, as the worker knows it; -1 before it has joined
	Partitions []PartitionStatus
	// Totals since the worker's start, over all partitions that it has had.
	Totals Totals
	// LookUps is how many questions about datasets the metadata store was asked; UnknownDatasets how many datasets are
	// known not to be there at the moment (bounded by Config.CacheSize).
	LookUps         int64
	UnknownDatasets int
	// Broken counts SLOs of cached datasets that cannot be counted, such as those whose SLI is not a derived column;
	// BrokenWhy says why one of them cannot.
	Broken    int
	BrokenWhy string
	// Trouble is what keeps the worker out of the group; empty if nothing does.
	Trouble string
}

// PartitionStatus is how far a partition is.
type PartitionStatus struct {
	Partition int32
	Next      int64 // the next offset to read
	Committed int64 // every record below is counted, and that is committed
	HighWater int64 // the partition's high watermark at the last fetch; -1 before the first
}

// Totals are numbers of what a worker has met. What was read and not committed may be read again.
type Totals struct {
	Records    int64
	Events     int64 // distinct ones
	Counted    int64 // of these, those that were relevant for an SLO at least
	Duplicates int64 // events that had been read before
	Unknown    int64 // events of datasets that are not in the catalog
	Skipped    int64 // records that could not be decoded
	Missed     int64 // offsets that had expired or vanished before they were read
	Commits    int64
	Overtaken  int64 // times that somebody else had counted what was about to be committed
}

func (t *Totals) add(o *Totals) {
	t.Records += o.Records
	t.Events += o.Events
	t.Counted += o.Counted
	t.Duplicates += o.Duplicates
	t.Unknown += o.Unknown
	t.Skipped += o.Skipped
	t.Missed += o.Missed
	t.Commits += o.Commits
	t.Overtaken += o.Overtaken
}
