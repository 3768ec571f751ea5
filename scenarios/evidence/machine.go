package evidence

// Names of sampled metrics of the machine that real servers and the load run on, since the sample before. They say nothing of the
// pipeline, so nothing can be expected of them, and a simulated run has none.
const (
	MachineCPU    = "machine.cpu"    // part of its processors' time that was taken, by whomever
	MachineStolen = "machine.stolen" // part of it that the hypervisor gave to other machines; it is in MachineCPU too
	MachineMemory = "machine.memory" // part of its memory that is not available to programs any more
)
