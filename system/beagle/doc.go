// Package beagle is the stream processor that reads every event, evaluates the SLIs that its dataset's SLOs are made of,
// and keeps how many events of each minute of event time were good, by sample rate. It is a Kafka consumer group over all partitions.
//
// Each event counts exactly once in effect, because
//
//   - the counts of what lies between two offsets and the partition's progress are committed in one transaction, which
//     takes effect only if the progress still is at the first of the two ([port.Counts]). Whoever has lost a partition
//     without knowing, was paused, or does not know how its last commit ended, can therefore add nothing twice; it finds
//     the progress elsewhere and goes on from there, or leaves that to its successor. The group's protocol decides who
//     works, never what counts, so commits are not fenced by generation.
//   - what the producer's retries appended twice is found by the events' IDs (see window). The bound: a copy is found if it
//     lies at most Config.DedupRecords records behind the original or another copy of it. Who takes a partition over reads
//     that many records before the progress again, but not more than about 32 MiB of them, and knows only those. A copy
//     that is farther behind counts once more.
//
// An event counts for an SLO if the SLI, a derived column of the dataset or of its team, is true (good) or false (bad) for
// it; whatever else its value is, it is not relevant. Clients that keep what failed and one in n of
// what went well would look n times worse than they are if each event counted as one: an event stands for as many as its
// sample rate says ([event.Weight]), as in queries. Only the IDs of those that are stored are compared, so a copy is a copy
// whatever its rate. A minute counts up to [port.MaxCount] events and no further.
// An SLO counts what is read from at most twice Config.RefreshEvery after its definition on. While the metadata store is
// away counting waits, since nothing could be committed.
package beagle
