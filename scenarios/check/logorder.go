package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// findRecordsMissing says why the log's records are not known; empty if they are.
func (r *run) findRecordsMissing() string {
	switch {
	case r.logMissing != "":
		return "the log is not known: " + r.logMissing
	case len(r.e.Records) == 0:
		return "the evidence has nothing of the log's records"
	}
	if missing := r.recordsLacking(); missing > 0 {
		return fmt.Sprintf("the evidence lacks %s whose events it has in the log", plural(missing, "record"))
	}
	return ""
}

// recordsLacking is how many records the log has by its events, and not by its records.
func (r *run) recordsLacking() int64 {
	has := make(map[offsetOf]bool, len(r.e.Records))
	for i := range r.e.Records {
		has[offsetOf{r.e.Records[i].Partition, r.e.Records[i].Offset}] = true
	}
	lacking, last := int64(0), offsetOf{-1, -1}
	for i := range r.logIndex.log {
		m := &r.logIndex.log[i]
		at := offsetOf{m.Partition, m.Offset}
		if m.State > evidence.Corrupt || at == last {
			continue // what has no identity may be a record that cannot be decoded
		}
		if last = at; !has[at] {
			lacking++
		}
	}
	return lacking
}

// sortedRecords are the log's records in another order.
func (r *run) sortedRecords(less func(a, b *evidence.Record) int) []*evidence.Record {
	list := make([]*evidence.Record, len(r.e.Records))
	for i := range list {
		list[i] = &r.e.Records[i]
	}
	slices.SortFunc(list, less)
	return list
}

// judgeLogOnce: a shepherd's event IDs are in the log once. Each request's events get IDs of their own, so one that is there
// twice was sent again by a producer whose first attempt was appended after all.
func (r *run) judgeLogOnce() Result {
	records := r.sortedRecords(func(a, b *evidence.Record) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.First, b.First), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	found := perPartition{r: r, title: "in the log twice, for a producer has sent them again"}
	for i := 1; i < len(records); i++ {
		a, b := records[i-1], records[i]
		if a.Source == b.Source && b.First-a.First < uint64(max(a.Count, 0)) {
			found.add(b, a, fmt.Sprintf("at offset %d of partition %d, and at offset %d of partition %d", a.Offset, a.Partition, b.Offset, b.Partition))
		}
	}
	res := Result{Findings: found.findings(), Numbers: []Number{{"records", float64(len(records)), "records"}, {"in the log again", float64(found.count), "records"}}}
	switch missing := r.recordsMissing(); {
	case found.count > 0:
		res.Verdict, res.Summary = Fail, fmt.Sprintf("%s in the log again: a producer has sent them twice", plural(found.count, "record is", "records are"))
	case missing != "":
		res.Summary = missing
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("each of %s is in the log once", plural(int64(len(records)), "record"))
	}
	return res
}

// judgeLogOrder: of each shepherd's records in one partition, one that was sent later is not before one that was sent
// earlier. A copy counts where it is first: that it is there again is for log_once to tell.
func (r *run) judgeLogOrder() Result {
	records := r.sortedRecords(func(a, b *evidence.Record) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Offset, b.Offset))
	})
	found := perPartition{r: r, title: "in the log before records that were sent earlier"}
	numbered, compared := 0, 0
	var last, late *evidence.Record // the one before; of those so far, the one that is furthest behind in the log
	for _, b := range records {
		if b.Number == 0 {
			continue
		}
		numbered++
		same := last != nil && last.Source == b.Source && last.Partition == b.Partition
		switch {
		case !same:
			late = b
		case last.Number == b.Number: // a copy
			continue
		default:
			compared++
			if b.Offset < late.Offset {
				found.add(b, late, fmt.Sprintf("sent as record %d, at offset %d; record %d of the same shepherd is at offset %d", b.Number, b.Offset, late.Number, late.Offset))
			} else {
				late = b
			}
		}
		last = b
	}
	res := Result{Findings: found.findings(), Numbers: []Number{{"records", float64(numbered), "records"}, {"overtook an earlier one", float64(found.count), "records"}}}
	switch missing := r.recordsMissing(); {
	case found.count > 0:
		res.Verdict, res.Summary = Fail, fmt.Sprintf("%s in the log before one that the same shepherd sent earlier", plural(found.count, "record is", "records are"))
	case missing != "":
		res.Summary = missing
	case numbered < len(records):
		res.Summary = fmt.Sprintf("%s without a number, so their order is not known", plural(int64(len(records)-numbered), "record is", "records are"))
	case compared == 0:
		res.Summary = "no shepherd has sent two records to one partition, so there is no order"
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("%s in the order in which they were sent, by shepherd and partition", plural(int64(numbered), "record is", "records are"))
	}
	return res
}

// perPartition gathers records that are where they must not be into one finding a partition.
type perPartition struct {
	r     *run
	title string
	count int64
	list  []Finding // by partition
}

// add notes a record, the one that it is compared with, and what is wrong with the two.
func (l *perPartition) add(rec, other *evidence.Record, where string) {
	l.count++
	i, ok := slices.BinarySearchFunc(l.list, rec.Partition, func(f Finding, p int32) int { return cmp.Compare(f.Examples[0].Part, p) })
	if !ok {
		l.list = slices.Insert(l.list, i, Finding{Verdict: Fail, At: None})
	}
	f := &l.list[i]
	f.Count++
	if at := min(rec.At, other.At); at >= 0 && (f.At == None || at < f.At) {
		f.At = at
	}
	if len(f.Examples) == MaxExamples {
		return
	}
	x := Example{At: rec.At, Where: where, Part: rec.Partition, Offset: rec.Offset}
	if marks := l.r.logIndex.at(rec.Partition, rec.Offset); len(marks) > 0 {
		x.Producer, x.Seq = marks[0].Producer, marks[0].Seq
	}
	f.Examples = append(f.Examples, x)
}

func (l *perPartition) findings() []Finding {
	for i := range l.list {
		f := &l.list[i]
		f.Title = fmt.Sprintf("partition %d: %s %s", f.Examples[0].Part, plural(f.Count, "record is", "records are"), l.title)
		l.r.place(f)
	}
	return l.list
}
