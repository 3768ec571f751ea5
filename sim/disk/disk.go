// Package disk models a local disk with a page cache: what is written is there for every process of the machine, but
// only what was synced is certain to be there after a loss of power.
//
// A [Disk] is the device and lives outside processes; Mount gives one incarnation its view of it. Writes go to the page
// cache and take no time. Sync and SyncDir take the device's time, one after the other. Losing power keeps, for each
// file, what was synced and a seeded prefix of the writes since, the last of them possibly torn; and a seeded prefix of
// the changes to names, as a journalling file system does.
package disk

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// ErrPowerLost is returned for a sync that a loss of power interrupted, and by open files after it.
var ErrPowerLost = errors.New("power lost")

// Config describes a device.
type Config struct {
	SyncLatency    time.Duration // of one sync, whatever its size
	BytesPerSecond int64         // of writing back; 0: no bound
	Capacity       int64         // bytes of all files together; 0: no bound
	// TornWrites lets a loss of power keep only the first bytes of the last surviving write.
	TornWrites bool
}

// Mode says what crashed.
type Mode int8

// Modes of Crash.
const (
	// ProcessCrash: the process died, the machine did not. Everything written is still in the page cache.
	ProcessCrash Mode = iota
	// PowerLoss: the machine lost its page cache.
	PowerLoss
)

// Disk is one device with its file system.
type Disk struct {
	sim     *sched.Sim
	cfg     Config
	rand    *rand.Rand
	names   map[string]*inode // as processes see them
	durable map[string]*inode // as after a loss of power right after the last directory sync
	changes []nameChange      // since then
	done    uint64            // number of the last durable change of names
	used    int64             // bytes of all files that have a name
	busy    time.Duration     // when the device is done with what it was given
	boots   int               // losses of power, and wipes: syncs and open files of an earlier one are void
}

// nameChange is one change of the directory.
type nameChange struct {
	name string
	file *inode // nil: the name was removed
	from string // for a rename, the name that goes at the same time
}

// New returns an empty disk. Disks of one simulation draw from one stream, in the order in which they lose power.
func New(s *sched.Sim, cfg Config) *Disk {
	d := &Disk{sim: s, cfg: cfg, rand: s.Rand("disk")}
	d.Wipe()
	return d
}

// Mount returns the disk as one process sees it. Operations of a dead process have no effect.
func (d *Disk) Mount(p *sched.Process) port.Disk { return &mount{d: d, p: p} }

// SetCapacity changes the capacity in bytes: a full disk is one whose capacity is below what is used. 0: no bound.
func (d *Disk) SetCapacity(bytes int64) { d.cfg.Capacity = bytes }

// SetSyncLatency changes the time of a sync: a slow disk.
func (d *Disk) SetSyncLatency(latency time.Duration) { d.cfg.SyncLatency = latency }

// Used returns the bytes of all files.
func (d *Disk) Used() int64 { return d.used }

// Wipe replaces the device by an empty one.
func (d *Disk) Wipe() {
	for _, f := range d.names { // order: each is treated alike
		f.named = false
	}
	d.done += uint64(len(d.changes))
	d.names, d.durable, d.changes = map[string]*inode{}, map[string]*inode{}, nil
	d.used, d.busy = 0, 0
	d.boots++
}

// Crash says that the process (nothing happens to the disk) or the whole machine has crashed.
func (d *Disk) Crash(mode Mode) {
	if mode != PowerLoss {
		return
	}
	d.boots++
	d.busy = 0
	d.commit(d.done + uint64(d.rand.IntN(len(d.changes)+1)))
	d.done += uint64(len(d.changes))
	d.changes = nil
	for _, f := range d.names { // order: each is treated alike
		f.named = false
	}
	d.names, d.used = maps.Clone(d.durable), 0
	for _, name := range sortedNames(d.durable) {
		f := d.durable[name]
		f.losePower(d.rand, d.cfg.TornWrites)
		f.named = true
		d.used += f.data.size
	}
}

// commit makes the changes of names up to that number durable.
func (d *Disk) commit(upTo uint64) {
	if upTo <= d.done {
		return
	}
	n := upTo - d.done
	for _, c := range d.changes[:n] {
		c.apply(d.durable)
	}
	d.changes = slices.Delete(d.changes, 0, int(n))
	d.done = upTo
}

// Corrupt flips one bit of a stored byte, as a failing medium does. It reports whether the file has that byte.
func (d *Disk) Corrupt(name string, off int64) bool {
	f := d.names[name]
	if f == nil || off < 0 || off >= f.data.size {
		return false
	}
	bit := byte(1) << d.rand.IntN(8)
	f.data.flip(off, bit)
	if off < f.stable.size {
		f.stable.flip(off, bit)
	}
	return true
}

func (c nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.file == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.file
}

func (d *Disk) change(c nameChange) {
	if old := d.names[c.name]; old != nil && old != c.file {
		d.used -= old.data.size
		old.named = false
	}
	if c.file != nil {
		c.file.named = true
	}
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

// write gives the device n bytes to make durable. done is called when they are, unless power is lost before.
func (d *Disk) write(r rt.Runtime, n int64, done func()) *rt.Future[struct{}] {
	cost := d.cfg.SyncLatency
	if d.cfg.BytesPerSecond > 0 {
		cost += time.Duration(float64(n) / float64(d.cfg.BytesPerSecond) * float64(time.Second))
	}
	now := d.sim.Now()
	d.busy = max(d.busy, now) + cost
	f := rt.NewFuture[struct{}](r)
	boot := d.boots
	d.sim.After(d.busy-now, func() {
		if d.boots != boot {
			f.Complete(struct{}{}, ErrPowerLost)
			return
		}
		done()
		f.Complete(struct{}{}, nil)
	})
	return f
}

// room returns how many of n bytes fit.
func (d *Disk) room(n int) int {
	if d.cfg.Capacity <= 0 {
		return n
	}
	return int(max(0, min(int64(n), d.cfg.Capacity-d.used)))
}

func sortedNames(names map[string]*inode) []string {
	sorted := make([]string, 0, len(names))
	for name := range names { // order: sorted below
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

func at(op, name string, err error) error { return fmt.Errorf("disk: %s %s: %w", op, name, err) }
