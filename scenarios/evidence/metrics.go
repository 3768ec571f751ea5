package evidence

// Names of sampled metrics, once a second of the run's clock. A metric that could not be measured at a moment is absent
// from that sample, never zero.
const (
	UnderReplicated = "kafka.under_replicated"  // partitions whose ISR is smaller than their replicas
	Offline         = "kafka.offline"           // partitions without a leader
	BelowMinISR     = "kafka.below_min_isr"     // partitions whose ISR is below min.insync.replicas
	BrokersLive     = "kafka.brokers"           // live brokers in the metadata
	BusiestShare    = "kafka.busiest_share"     // largest share of the last seconds' records that one partition took
	InFlightShare   = "shepherd.inflight_share" // largest share of its in-flight bounds that any shepherd has ever used
	RetrieverMemory = "retriever.memory_share"  // largest share of its memory bound that any retriever uses
	RetrieverLocal  = "retriever.local_bytes"   // largest local disk use of any retriever
	RetrieverLag    = "retriever.lag"           // records between the high watermarks and what retrievers have durably, summed
	BeagleLag       = "beagle.lag"              // records between the high watermarks and the progress of counting, summed
	BeagleIdle      = "beagle.idle"             // workers by which no partition's progress was marked last
	BeagleBusiest   = "beagle.busiest_share"    // largest share of the partitions whose progress one worker marked last
	ObserverTaken   = "observer.taken"          // events that the observer has taken since the start
	ObserverRefused = "observer.refused"        // events that the observer has refused since the start, because its queue was full
	InFlight        = "load.in_flight"          // requests without an answer yet
)
