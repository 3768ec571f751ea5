// Package definition is what teams define for their datasets, in the JSON of Honeycomb's management API: derived columns,
// SLOs, burn alerts, triggers, markers and recipients. A [port.Definition] carries one as its body.
package definition

import "encoding/json"

// DerivedColumn is a column that is computed from others.
type DerivedColumn struct {
	Alias       string `json:"alias"`
	Expression  string `json:"expression"`
	Description string `json:"description,omitempty"`
}

// SLO says how many of a dataset's events must be good, by sample rate. Its SLI is a derived column of the dataset: true is
// good, false is bad, null does not count.
type SLO struct {
	Name             string   `json:"name"`
	Description      string   `json:"description,omitempty"`
	SLI              SLI      `json:"sli"`
	TimePeriodDays   int      `json:"time_period_days"`
	TargetPerMillion int      `json:"target_per_million"`
	Tags             []Tag    `json:"tags,omitempty"`
	DatasetSlugs     []string `json:"dataset_slugs,omitempty"`
}

// SLI names the derived column.
type SLI struct {
	Alias string `json:"alias"`
}

// Tag is a label.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// BurnAlert warns of an SLO whose budget is used up too fast.
type BurnAlert struct {
	Description string        `json:"description,omitempty"`
	AlertType   BurnAlertType `json:"alert_type"`
	SLO         SLORef        `json:"slo"`
	// ExhaustionMinutes: it fires when, at the rate of burning, the budget is exhausted within that time. 0: when it is.
	ExhaustionMinutes *int `json:"exhaustion_minutes,omitempty"`
	// BudgetRate: it fires when the budget has gone down within the window by at least so many parts of a million.
	BudgetRateWindowMinutes               int         `json:"budget_rate_window_minutes,omitempty"`
	BudgetRateDecreaseThresholdPerMillion int         `json:"budget_rate_decrease_threshold_per_million,omitempty"`
	Recipients                            []Recipient `json:"recipients,omitempty"`
}

// SLORef names an SLO by its ID.
type SLORef struct {
	ID string `json:"id"`
}

// BurnAlertType is how a burn alert decides.
type BurnAlertType string

// Burn alerts.
const (
	ExhaustionTime BurnAlertType = "exhaustion_time"
	BudgetRate     BurnAlertType = "budget_rate"
)

// Trigger is an alert on a query's result.
type Trigger struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
	// Query is its specification (see package spec) without start and end; its time_range is what is looked at.
	Query     json.RawMessage `json:"query"`
	Threshold Threshold       `json:"threshold"`
	// Frequency is how often it is evaluated, in seconds.
	Frequency  int         `json:"frequency"`
	AlertType  AlertType   `json:"alert_type"`
	Recipients []Recipient `json:"recipients,omitempty"`
	Tags       []Tag       `json:"tags,omitempty"`
}

// Threshold is what a query's value is compared with.
type Threshold struct {
	Op    string  `json:"op"` // > >= < <=
	Value float64 `json:"value"`
	// ExceededLimit is how many windows in a row must exceed it before it triggers; 0 is 1.
	ExceededLimit int `json:"exceeded_limit,omitempty"`
}

// AlertType says when an alert is sent.
type AlertType string

// Alert types.
const (
	OnChange AlertType = "on_change" // when it begins to hold, and when it no longer does
	OnTrue   AlertType = "on_true"   // in every window in which it holds
)

// Recipient is who is told: a webhook of its own, or one of the team's recipients ([TeamRecipient]), of which an alert has
// the ID alone.
type Recipient struct {
	ID     string `json:"id,omitempty"`
	Type   string `json:"type,omitempty"`   // "webhook"
	Target string `json:"target,omitempty"` // its URL
}
