package system

import "time"

// MachineUse is what the machine that a world runs on has done since it was started, and what memory it has.
type MachineUse struct {
	// All is the time of all processors together; Idle is the part in which they had nothing to do, waited for a disk, or worked for
	// programs that give way to others (nice); Stolen is the part in which they had, and the hypervisor ran another machine (steal time,
	// proc_stat(5)).
	All, Idle, Stolen time.Duration
	// Memory is all of it, in bytes, and Available what programs could still get without swapping.
	Memory, Available uint64
}
