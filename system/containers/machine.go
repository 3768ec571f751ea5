package containers

import (
	"context"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/ratel-sim/ratel/system"
)

// Machine implements the engine's World: the machine on which the load is made and, unless the Docker engine is elsewhere, all nodes
// run.
func (w *World) Machine(ctx context.Context) (use system.MachineUse, ok bool) {
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) != 1 {
		return use, false
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return use, false
	}
	t := times[0] // what guests use is in User already
	span := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	return system.MachineUse{
		All:    span(t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Idle + t.Iowait + t.Steal),
		Idle:   span(t.Idle + t.Iowait + t.Nice),
		Stolen: span(t.Steal),
		Memory: memory.Total, Available: memory.Available,
	}, true
}
