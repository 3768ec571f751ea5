package retriever

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/segment"
)

// Bounds of what is not sealed yet. Each is a function of the log alone, as is all that decides where a seal falls: both
// of a pair, restarted or bootstrapped in between or not, come to the same seals.
const (
	maxBuilders = 1024 // segments of one seal
	// A log's time that has gone back by more than backBuckets seals and stays there for backRecords records was
	// wrong before: sealing goes on by the present time, or a single record from the far future would end it for good.
	backBuckets = 6
	backRecords = 1000
)

// unknownBucket is the bucket of a part that has no record yet.
const unknownBucket = math.MinInt64

// part is what follows the last seal: rows that are in no segment yet.
type part struct {
	partition int32
	first     int64 // the Kafka offset at which it begins
	next      int64 // where it ends
	bucket    int64 // the log's time at its beginning, in units of SealEvery
	behind    int   // how many records in a row have a time from long before
	records   int64
	missed    int64
	rows      int64
	weight    int64 // about how much memory its rows take, counted from the log alone
	ids       []event.ID
	aside     []frame // records that could not be decoded
	datasets  []event.Dataset
	builders  map[builderKey]*segment.Builder
	spare     map[int64]*segment.Builder // by dataset: of the part before, for their memory
	last      builderKey                 // the builder that was used last
	builder   *segment.Builder
}

// builderKey is what the rows of one segment have in common.
type builderKey struct{ dataset, hour int64 }

func newPart(partition int32, first, bucket int64) *part {
	return &part{partition: partition, first: first, next: first, bucket: bucket, builders: map[builderKey]*segment.Builder{}}
}

// following is the part after p, which is sealed: it has p's memory, so p must not be used any more.
func (p *part) following(first, bucket int64) *part {
	n := newPart(p.partition, first, bucket)
	n.ids = p.ids[:0]
	n.spare = make(map[int64]*segment.Builder, len(p.builders))
	for key, b := range p.builders { // order: a part nearly always has one hour of a dataset; which one is taken changes no result
		n.spare[key.dataset] = b
	}
	return n
}

// bucketOf is a time in units of every.
func bucketOf(ns int64, every time.Duration) int64 {
	b := ns / int64(every)
	if ns < 0 && ns%int64(every) != 0 {
		b--
	}
	return b
}

// sealedAt is the time at which a bucket begins; never 0, which means that there is none.
func sealedAt(bucket int64, every time.Duration) int64 {
	if bucket == unknownBucket {
		return 0
	}
	if at := bucket * int64(every); at != 0 {
		return at
	}
	return 1
}

func bucketAt(at int64, every time.Duration) int64 {
	if at == 0 {
		return unknownBucket
	}
	return bucketOf(at, every)
}

// ends says whether the part ends before a record that the log dates at a bucket, and at which bucket the next begins.
func (p *part) ends(bucket, maxWeight int64) (bool, int64) {
	switch {
	case p.records == 0:
		return false, 0
	case bucket > p.bucket, bucket < p.bucket-backBuckets && p.behind+1 >= backRecords:
		return true, bucket
	}
	return p.weight >= maxWeight || len(p.builders) >= maxBuilders, p.bucket
}

// begin notes a record before its events are added.
func (p *part) begin(bucket int64) {
	if p.bucket == unknownBucket {
		p.bucket = bucket
	}
	p.behind++
	if bucket >= p.bucket-backBuckets {
		p.behind = 0
	}
	p.records++
}

// add takes over the events of a record that are to be kept. places are their places in it; nil if they are 0, 1, 2 ….
// encoded is how long their chunk is.
func (p *part) add(offset int64, dataset event.Dataset, events []event.Event, places []int32, encoded int) {
	fields := 0
	for i := range events {
		e := &events[i]
		fields += len(e.Fields)
		if seconds := e.Time.Unix() - 3600*p.last.hour; p.builder == nil || dataset.ID != p.last.dataset || seconds < 0 || seconds >= 3600 {
			p.use(builderKey{dataset.ID, hourOf(e.Time)}, dataset)
		}
		at := int32(i)
		if places != nil {
			at = places[i]
		}
		p.builder.AppendEvent(offset, at, e)
		p.ids = append(p.ids, e.ID)
	}
	p.rows += int64(len(events))
	p.weight += int64(encoded) + 16*int64(fields) + 64*int64(len(events))
}

func (p *part) use(key builderKey, dataset event.Dataset) {
	b := p.builders[key]
	if b == nil {
		if old := p.spare[key.dataset]; old != nil {
			b = segment.Again(old, p.partition, key.dataset, key.hour)
			delete(p.spare, key.dataset)
		} else {
			b = segment.NewBuilder(p.partition, key.dataset, key.hour)
		}
		p.builders[key] = b
		if !slices.ContainsFunc(p.datasets, func(d event.Dataset) bool { return d.ID == dataset.ID }) {
			dataset.Name = strings.Clone(dataset.Name)
			p.datasets = append(p.datasets, dataset)
		}
	}
	p.last, p.builder = key, b
}

// hourOf is the hour of an event's time, as Unix seconds / 3600.
func hourOf(t time.Time) int64 { return bucketOf(t.Unix(), 3600) }

// keys are those of the builders, by dataset, then hour.
func (p *part) keys() []builderKey {
	keys := make([]builderKey, 0, len(p.builders))
	for key := range p.builders { // order: sorted below
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b builderKey) int {
		return cmp.Or(cmp.Compare(a.dataset, b.dataset), cmp.Compare(a.hour, b.hour))
	})
	return keys
}

// bytes is about how much memory the rows take.
func (p *part) bytes() int64 {
	n := int64(16 * len(p.ids))
	for _, b := range p.builders { // order: added up
		n += b.Bytes()
	}
	return n
}

// encode appends the segments of offsets first to next-1 to data, one after another.
func (p *part) encode(data []byte, next int64, o segment.Options, name func(segment.Info) string) ([]segment.Info, []byte, error) {
	var infos []segment.Info
	for _, key := range p.keys() {
		more, info, err := p.builders[key].AppendEncoded(data, p.first, next, o)
		if err != nil {
			return nil, nil, fmt.Errorf("encode the segment of dataset %d, hour %d, offsets %d to %d: %w", key.dataset, key.hour, p.first, next, err)
		}
		info.Key = name(info)
		infos, data = append(infos, info), more
	}
	return infos, data, nil
}

// datasetOf finds a dataset by its ID.
func datasetOf(all []event.Dataset, id int64) event.Dataset {
	for _, d := range all {
		if d.ID == id {
			return d
		}
	}
	return event.Dataset{ID: id}
}
