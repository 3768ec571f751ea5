package mysql

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

func byWindow(e port.Evaluation, window int64) int { return cmp.Compare(e.Window, window) }

func copyEvaluation(e port.Evaluation) port.Evaluation {
	e.Notice = bytes.Clone(e.Notice)
	return e
}

// paid takes an evaluation out of the index.
func (d *database) paid(e *port.Evaluation) {
	if i, there := slices.BinarySearchFunc(d.due, e.Place(), port.Place.Compare); there {
		d.due = slices.Delete(d.due, i, i+1)
	}
}

// show raises the epoch in a transaction that has locked it: apply does so at its commit.
func (d *database) show(epoch int64, by string) (code code, apply func()) {
	switch {
	case epoch < d.epoch:
		return codeFenced, nil
	case epoch == d.epoch:
		return codeOK, nil
	}
	return codeOK, func() { d.epoch, d.epochBy = epoch, by }
}

func (d *database) lead(epoch int64, by string) (*reply, func()) {
	code, apply := d.show(epoch, by)
	return &reply{code: code}, apply
}

func (d *database) record(e *port.Evaluation) (*reply, func()) {
	code, raise := d.show(e.Epoch, e.By)
	if code != codeOK {
		return &reply{code: code}, nil
	}
	def := d.definitions[e.Alert]
	if def == nil {
		return &reply{code: codeNotFound}, nil
	}
	if i, there := slices.BinarySearchFunc(def.evaluations, e.Window, byWindow); there {
		return &reply{evaluations: []port.Evaluation{copyEvaluation(def.evaluations[i])}}, raise
	}
	stored := catalog.Recorded(*e)
	return &reply{evaluations: []port.Evaluation{copyEvaluation(stored)}, created: true}, func() {
		if raise != nil {
			raise()
		}
		if d.definitions[e.Alert] != def {
			return // deleted meanwhile, and this with it
		}
		i, _ := slices.BinarySearchFunc(def.evaluations, e.Window, byWindow)
		def.evaluations = slices.Insert(def.evaluations, i, stored)
		if (e.Fires || e.Resolves) && e.Delivered.IsZero() {
			i, _ := slices.BinarySearchFunc(d.due, e.Place(), port.Place.Compare)
			d.due = slices.Insert(d.due, i, e.Place())
		}
	}
}

// evaluation finds an evaluation; nil if it is not there.
func (d *database) evaluation(alert, window int64) *port.Evaluation {
	def := d.definitions[alert]
	if def == nil {
		return nil
	}
	i, there := slices.BinarySearchFunc(def.evaluations, window, byWindow)
	if !there {
		return nil
	}
	return &def.evaluations[i]
}

func (d *database) delivered(alert, window int64, at time.Time) (*reply, func()) {
	e := d.evaluation(alert, window)
	if e == nil {
		return &reply{code: codeNotFound}, nil
	}
	if !e.Delivered.IsZero() {
		return &reply{}, nil
	}
	return &reply{}, func() {
		// Its row may have moved since, or gone with its alert.
		if e := d.evaluation(alert, window); e != nil {
			e.Delivered = catalog.Stamp(at)
			d.paid(e)
		}
	}
}

func (d *database) readEvaluations(r *request) *reply {
	a := &reply{}
	switch r.op {
	case opEpoch:
		a.version, a.by = d.epoch, d.epochBy
	case opUndelivered:
		after := port.Place{Window: r.from, Alert: r.id}
		first := sort.Search(len(d.due), func(i int) bool { return after.Before(d.due[i]) })
		due := d.due[first:]
		for _, k := range due[:min(len(due), int(max(r.to, 0)))] {
			a.evaluations = append(a.evaluations, copyEvaluation(*d.evaluation(k.Alert, k.Window)))
		}
	case opLastEvaluation:
		def := d.definitions[r.id]
		if def == nil || len(def.evaluations) == 0 {
			return &reply{code: codeNotFound}
		}
		a.evaluations = []port.Evaluation{copyEvaluation(def.evaluations[len(def.evaluations)-1])}
	case opEvaluationsOf:
		def := d.definitions[r.id]
		if def == nil {
			break
		}
		i, _ := slices.BinarySearchFunc(def.evaluations, r.from, byWindow)
		j, _ := slices.BinarySearchFunc(def.evaluations, r.to, byWindow)
		for ; i < j; i++ {
			a.evaluations = append(a.evaluations, copyEvaluation(def.evaluations[i]))
		}
	}
	return a
}
