package evidence

import (
	"encoding/json"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
)

// SLO is an SLO as it was defined for one dataset of a traffic, before the load began.
type SLO struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`    // in the plan
	Traffic    int    `json:"traffic"` // index in the plan
	Dataset    string `json:"dataset"` // its name
	Expression string `json:"expression"`
	// TargetPerMillion of the relevant events must be good.
	TargetPerMillion int `json:"target_per_million"`
}

// SLOCount is a row of counts as the catalog had it in the end.
type SLOCount struct {
	SLO    int64 `json:"slo"`    // ID
	Minute int64 `json:"minute"` // Unix seconds of the minute's start
	Good   int64 `json:"good"`
	Total  int64 `json:"total"`
}

// Progress is how far counting was in a partition at one moment. The engine looks every few seconds and once in the end.
type Progress struct {
	At        time.Duration `json:"at"`
	Partition int32         `json:"partition"`
	Next      int64         `json:"next"`   // -1: there is no row
	Marked    time.Duration `json:"marked"` // when the row says that it was last marked, on the run's clock
	By        string        `json:"by"`
	End       int64         `json:"end"` // the partition's high watermark just before; -1 if it could not be had
	Final     bool          `json:"final,omitempty"`
}

// Alert is a trigger as it was defined for one dataset of a traffic, before the load began.
type Alert struct {
	ID      int64              `json:"id"`
	Name    string             `json:"name"`    // in the plan
	Traffic int                `json:"traffic"` // index in the plan
	Dataset string             `json:"dataset"`
	Trigger definition.Trigger `json:"trigger"`
	Defined time.Duration      `json:"defined"` // when
}

// Evaluation is one evaluation of an alert as the catalog had it in the end.
type Evaluation struct {
	Alert     int64           `json:"alert"`
	Window    time.Duration   `json:"window"` // the window's end on the run's clock
	Epoch     int64           `json:"epoch"`
	By        string          `json:"by"`
	At        time.Duration   `json:"at"`
	Stale     bool            `json:"stale,omitempty"`
	Triggered bool            `json:"triggered,omitempty"`
	Fires     bool            `json:"fires,omitempty"`
	Resolves  bool            `json:"resolves,omitempty"`
	Value     float64         `json:"value"`
	Delivered time.Duration   `json:"delivered"` // -1: not
	Notice    json.RawMessage `json:"notice,omitempty"`
}

// Delivery is one webhook as the receiver got it.
type Delivery struct {
	At   time.Duration   `json:"at"`
	Key  string          `json:"key"` // Idempotency-Key
	Body json.RawMessage `json:"body"`
}
