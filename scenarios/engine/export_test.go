package engine

// Defects are bugs that tests plant in the guards' own machinery.
var Defects = struct {
	GateIsOpen, GateIsTold, GateIsGone, AbortIsTold, AbortIsGone, HealIsGone defect
}{gateIsOpen, gateIsTold, gateIsGone, abortIsTold, abortIsGone, healIsGone}

// WithDefect plants a bug in the guards' own machinery.
func (o Options) WithDefect(d defect) Options {
	o.defect = d
	return o
}
