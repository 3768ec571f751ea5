// Package query is the query node: it takes a query by Honeycomb's API, asks one retriever of each pair for fresh data and
// short-lived workers for what is in the object store, and answers completely or says what is missing.
package query

import (
	"context"
	"encoding/json"

	"github.com/ratel-sim/ratel/system/query/exec"
)

// Request is one query over one dataset.
type Request struct {
	Team    string // API key
	Dataset string // name in any case, or "__all__"
	// Spec is the query specification as JSON; see package spec.
	Spec json.RawMessage
	// DisableSeries leaves out the time series and answers the table alone.
	DisableSeries bool
	Limit         int // of the table; 0 is the specification's
	// TeamID and DatasetID ask without a key, for whoever knows them from the catalog: dataset 0 is all of the team's. They
	// can be said to the service "run" of a peer alone (see [Server.ServePeer]), never over the API.
	TeamID, DatasetID int64
}

// Answer is the reply. Code is the HTTP status: 200 with a Result, else Error says why.
type Answer struct {
	Code   int
	Error  string
	Result *exec.Result
	// Complete says that every row that matches and was visible is counted. Otherwise Missing names what is not.
	Complete bool
	Missing  []Missing
	// FreshTo (Unix ns): everything that Kafka had acknowledged before is counted; the least of all partitions', by their
	// retrievers' clocks (what that means exactly is with retriever.AskReply). 0: not known, since a partition was not
	// answered by a retriever.
	FreshTo int64
	Stats   Stats
}

// Missing is a part of the data that an answer does not cover.
type Missing struct {
	Partition int32
	// From and To are the hours (Unix seconds, [From, To)) of event time whose data may be missing.
	From, To int64
	Why      string
}

// Stats is what answering took.
type Stats struct {
	RowsScanned, SegmentsRead, SegmentsSkipped int64
	Hedged, Reissued, ColdStarts               int64
	Millis                                     float64
}

// Querier is a query node as a client sees it. An error means that no answer came.
type Querier interface {
	Query(ctx context.Context, req Request) (Answer, error)
}
