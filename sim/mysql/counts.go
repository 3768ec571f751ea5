package mysql

import (
	"cmp"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// consumed names what a consumer counts.
type consumed struct{ consumer, topic string }

// consumer is its progress, by partition.
type consumer struct{ rows []port.Progress }

func byPartition(p port.Progress, partition int32) int { return cmp.Compare(p.Partition, partition) }

func byMinute(n port.SLOCount, minute int64) int { return cmp.Compare(n.Minute, minute) }

func (d *database) advance(a *port.Advance, now time.Time) (*reply, func()) {
	of := consumed{a.Consumer, a.Topic}
	next := int64(0)
	if c := d.progress[of]; c != nil {
		if i, there := slices.BinarySearchFunc(c.rows, a.Partition, byPartition); there {
			next = c.rows[i].Next
		}
	}
	if next != a.From {
		return &reply{code: codeNotThere}, nil
	}
	row := port.Progress{Consumer: a.Consumer, Topic: a.Topic, Partition: a.Partition, Next: a.To, At: micro(now), By: a.By}
	return &reply{}, func() {
		c := d.progress[of]
		if c == nil {
			c = &consumer{}
			d.progress[of] = c
		}
		i, there := slices.BinarySearchFunc(c.rows, a.Partition, byPartition)
		if there {
			c.rows[i] = row
		} else {
			c.rows = slices.Insert(c.rows, i, row)
		}
		for _, n := range a.Counts {
			if def := d.definitions[n.SLO]; def != nil && def.Kind == port.KindSLO {
				def.count(n)
			}
		}
	}
}

// count adds to a minute. Most are of the last minutes.
func (def *definition) count(n port.SLOCount) {
	i, there := slices.BinarySearchFunc(def.counts, n.Minute, byMinute)
	if !there {
		def.counts = slices.Insert(def.counts, i, n)
		return
	}
	def.counts[i].Add(n)
}

func (d *database) readCounts(r *request) *reply {
	a := &reply{}
	if r.op == opProgressOf {
		if c := d.progress[consumed{r.key, r.name}]; c != nil {
			a.progress = slices.Clone(c.rows)
		}
		return a
	}
	if def := d.definitions[r.id]; def != nil {
		i, _ := slices.BinarySearchFunc(def.counts, r.from, byMinute)
		j, _ := slices.BinarySearchFunc(def.counts, r.to, byMinute)
		a.counts = slices.Clone(def.counts[i:max(i, j)])
	}
	return a
}
