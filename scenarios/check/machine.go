package check

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// MachineStats are of the machine that real servers and the load ran on. Parts are from 0 to 1; there are none of a simulated run.
type MachineStats struct {
	Samples int64   `json:"samples"`
	CPU     float64 `json:"cpu"`     // mean part of all processors' time that was taken, by whomever
	Stolen  float64 `json:"stolen"`  // mean part of it that the hypervisor gave to other machines; it is in CPU too
	Full    float64 `json:"full"`    // part of the samples in which the processors had next to nothing left
	Memory  float64 `json:"memory"`  // largest part of the memory that was in use
	TooMuch string  `json:"toomuch"` // what was asked of it beyond what it has, in words; "" if nothing
}

// From these on a machine is said to have had too little.
const (
	fullCPU      = 0.95 // of a second's processor time: what waits then waits for the machine
	fullFor      = 0.25 // of a phase's samples
	stolenMuch   = 0.10 // of a phase's processor time
	fullMemory   = 0.95 // of the memory
	minOfMachine = 3    // samples
)

// machineMetrics are the sampled metrics of the machine. A plan expects nothing of them.
func machineMetrics() []plan.Metric {
	return []plan.Metric{
		{Name: evidence.MachineCPU, Unit: plan.UnitRatio}, {Name: evidence.MachineStolen, Unit: plan.UnitRatio}, {Name: evidence.MachineMemory, Unit: plan.UnitRatio},
	}
}

// machine sums up what was measured of the machine in a stretch of the run; nil if nothing was.
func (r *run) machine(from, to time.Duration) *MachineStats {
	var m MachineStats
	for _, s := range r.samples {
		part := func(name string) float64 { return min(max(s.Values[name], 0), 1) } // saved evidence may be damaged
		cpu, ok := s.Values[evidence.MachineCPU]
		if !ok || math.IsNaN(cpu) || s.At <= from || s.At > to { // a sample is of the time before it
			continue
		}
		m.Samples++
		m.CPU += part(evidence.MachineCPU)
		m.Stolen += part(evidence.MachineStolen)
		if cpu >= fullCPU {
			m.Full++
		}
		m.Memory = max(m.Memory, part(evidence.MachineMemory))
	}
	if m.Samples == 0 {
		return nil
	}
	n := float64(m.Samples)
	m.CPU, m.Stolen, m.Full = m.CPU/n, m.Stolen/n, m.Full/n
	if m.Samples < minOfMachine {
		return &m
	}
	var much []string
	percent := func(part float64) string { return fmt.Sprintf("%.0f%%", math.Floor(part*100)) }
	if m.Full >= fullFor {
		much = append(much, fmt.Sprintf("its processors had nothing left in %s of the seconds", percent(m.Full)))
	}
	if m.Stolen >= stolenMuch {
		much = append(much, fmt.Sprintf("%s of its processor time went to other machines", percent(m.Stolen)))
	}
	if m.Memory >= fullMemory {
		much = append(much, fmt.Sprintf("%s of its memory was in use", percent(m.Memory)))
	}
	m.TooMuch = strings.Join(much, ", ")
	return &m
}
