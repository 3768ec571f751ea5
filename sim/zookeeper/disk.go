package zookeeper

import (
	"math/rand/v2"
	"slices"
	"sort"
)

// disk is what a server's data directory holds. It outlives the process.
type disk struct {
	acceptedEpoch int64 // newest epoch this server has promised to a leader
	currentEpoch  int64 // newest epoch whose leader's history this server has taken over
	snap          *tree // never changed once here
	log           []*txn
	synced        int // how many entries of log are certainly durable
}

func newDisk() *disk { return &disk{snap: newTree()} }

// last returns the zxid of the newest logged transaction.
func (d *disk) last() int64 {
	if len(d.log) == 0 {
		return d.snap.zxid
	}
	return d.log[len(d.log)-1].zxid
}

// durable returns the zxid up to which everything is durable.
func (d *disk) durable() int64 {
	if d.synced == 0 {
		return d.snap.zxid
	}
	return d.log[d.synced-1].zxid
}

// after returns the index of the first logged transaction newer than zxid.
func (d *disk) after(zxid int64) int {
	return sort.Search(len(d.log), func(i int) bool { return d.log[i].zxid > zxid })
}

// truncate drops everything newer than zxid.
func (d *disk) truncate(zxid int64) {
	i := d.after(zxid)
	d.log = slices.Clone(d.log[:i]) // entries sent to others share the old array
	d.synced = min(d.synced, i)
}

// restart replaces everything by a snapshot.
func (d *disk) restart(snap *tree) {
	d.snap, d.log, d.synced = snap, nil, 0
}

// compact replaces the log up to the tree's zxid by a snapshot of it.
func (d *disk) compact(t *tree) {
	i := d.after(t.zxid)
	d.snap, d.log, d.synced = t.clone(), slices.Clone(d.log[i:]), max(0, d.synced-i)
}

// crash keeps what was synced and, by chance, a prefix of what was being written.
func (d *disk) crash(r *rand.Rand) {
	n := d.synced + r.IntN(len(d.log)-d.synced+1)
	d.log = slices.Clone(d.log[:n])
	d.synced = n
}
