package kafka

import (
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/ratel-sim/ratel/system/port"
)

// batch is a record batch as it lies in a log. It is immutable once appended, so all replicas share it.
type batch struct {
	base  int64
	epoch int32 // leader epoch under which it was appended
	bytes int
	sum   uint64         // of the content
	recs  []port.Fetched // as readers get them
	seq   sequence       // as its producer has numbered it
}

func (b *batch) next() int64 { return b.base + int64(len(b.recs)) }

// epochStart is an entry of the leader-epoch cache: the first offset that was written under an epoch.
type epochStart struct {
	epoch int32
	start int64
}

// replicaLog is one replica's log. It lies on the broker's disk, so it outlives the broker's process: appending writes
// to the page cache, which a killed process leaves behind and a power loss does not.
type replicaLog struct {
	batches []*batch
	start   int64 // log start offset
	end     int64 // log end offset (LEO)
	epochs  []epochStart
	// checkpoint is the high watermark as last written to the checkpoint file.
	checkpoint int64
	// flushed is the end of what has been synced to the device.
	flushed int64
	// producers is what the batches say of those that wrote them: derived from them, on every replica alike.
	producers producerStates
}

// append writes records as one new batch at the end: what a leader does.
func (l *replicaLog) append(recs []port.Record, bytes int, sum uint64, epoch int32, seq sequence) *batch {
	b := &batch{base: l.end, epoch: epoch, bytes: bytes, sum: sum, recs: make([]port.Fetched, len(recs)), seq: seq}
	for i := range recs {
		b.recs[i] = port.Fetched{Offset: b.base + int64(i), Record: recs[i]}
	}
	l.add(b)
	return b
}

// add writes a batch that was fetched from the leader. Its base must be the log's end.
func (l *replicaLog) add(b *batch) {
	l.noteEpoch(b.epoch, b.base)
	l.batches = append(l.batches, b)
	l.end = b.next()
	l.producers.add(b)
}

// noteEpoch enters an epoch's start into the cache unless the epoch is known already.
func (l *replicaLog) noteEpoch(epoch int32, start int64) {
	if n := len(l.epochs); n > 0 && l.epochs[n-1].epoch >= epoch {
		return
	}
	// An epoch that began at the same offset left no record behind; Kafka's cache drops it, too.
	for n := len(l.epochs); n > 0 && l.epochs[n-1].start >= start; n-- {
		l.epochs = l.epochs[:n-1]
	}
	l.epochs = append(l.epochs, epochStart{epoch, start})
}

func (l *replicaLog) latestEpoch() int32 {
	if n := len(l.epochs); n > 0 {
		return l.epochs[n-1].epoch
	}
	return noEpoch
}

// endOffsetFor returns the largest epoch that is not above the one asked for, and where it ends: KIP-101 and KIP-279.
// It returns noEpoch if the epoch asked for is above every known one.
func (l *replicaLog) endOffsetFor(epoch int32) (int32, int64) {
	n := len(l.epochs)
	if n == 0 || epoch == noEpoch || epoch > l.epochs[n-1].epoch {
		return noEpoch, noOffset
	}
	if epoch == l.epochs[n-1].epoch {
		return epoch, l.end
	}
	i := sort.Search(n, func(i int) bool { return l.epochs[i].epoch > epoch })
	if i == 0 { // below the first: nothing of it is here
		return epoch, l.epochs[0].start
	}
	return l.epochs[i-1].epoch, l.epochs[i].start
}

// truncate drops everything from offset on. Offsets inside a batch drop the whole batch, as Kafka does.
func (l *replicaLog) truncate(offset int64) {
	if offset >= l.end {
		// An epoch that this replica led without writing anything would for ever be its latest (as in Kafka's truncateTo).
		l.dropEpochs()
		return
	}
	offset = max(offset, l.start)
	n := len(l.batches)
	for n > 0 && l.batches[n-1].next() > offset {
		n--
	}
	// Readers share the array behind the slice: a later append must not overwrite what they hold.
	l.batches = l.batches[:n:n]
	l.end = l.start
	if n > 0 {
		l.end = l.batches[n-1].next()
	}
	l.dropEpochs()
	l.producers = statesOf(l.batches)
	l.flushed = min(l.flushed, l.end)
	l.checkpoint = min(l.checkpoint, l.end)
}

// dropEpochs forgets epochs that begin at the log's end or above.
func (l *replicaLog) dropEpochs() {
	for k := len(l.epochs); k > 0 && l.epochs[k-1].start >= l.end; k-- {
		l.epochs = l.epochs[:k-1]
	}
}

// read returns the batches that hold [from, to), at most about maxBytes of them but at least one. The result shares the
// log's memory and must not be changed.
func (l *replicaLog) read(from, to int64, maxBytes int) []*batch {
	if from >= to {
		return nil
	}
	i := len(l.batches)
	for steps := 0; i > 0 && l.batches[i-1].next() > from; i-- {
		if steps++; steps > 16 { // far back: search
			i = sort.Search(i, func(k int) bool { return l.batches[k].next() > from })
			break
		}
	}
	j, bytes := i, 0
	for j < len(l.batches) && l.batches[j].base < to && (j == i || bytes+l.batches[j].bytes <= maxBytes) {
		bytes += l.batches[j].bytes
		j++
	}
	return l.batches[i:j:j]
}

// losePower drops what had not been synced, but for a lucky prefix.
func (l *replicaLog) losePower(r *rand.Rand) {
	if l.end <= l.flushed {
		return
	}
	l.truncate(l.flushed + r.Int64N(l.end-l.flushed+1))
}

// expire moves the log start offset up to offset (retention or DeleteRecords).
func (l *replicaLog) expire(offset int64) {
	if offset <= l.start {
		return
	}
	l.start = min(offset, l.end)
	n := 0
	for n < len(l.batches) && l.batches[n].next() <= l.start {
		n++
	}
	l.batches = slices.Clone(l.batches[n:])
	for len(l.epochs) > 1 && l.epochs[1].start <= l.start {
		l.epochs = slices.Delete(l.epochs, 0, 1)
	}
	if len(l.epochs) > 0 && l.epochs[0].start < l.start {
		l.epochs[0].start = l.start
	}
}

// restartAt empties the log and lets it begin at offset: a follower whose leader no longer has what it asks for.
func (l *replicaLog) restartAt(offset int64) {
	*l = replicaLog{start: offset, end: offset, flushed: offset, checkpoint: offset}
}

// brokerDisk is what a broker's process leaves behind.
type brokerDisk struct {
	logs []*replicaLog // by partition index; nil where there is none
}

func (d *brokerDisk) log(idx int) *replicaLog {
	for len(d.logs) <= idx {
		d.logs = append(d.logs, nil)
	}
	if d.logs[idx] == nil {
		d.logs[idx] = &replicaLog{}
	}
	return d.logs[idx]
}
