package port

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// DefinitionKind is what a [Definition] defines.
type DefinitionKind string

// Kinds of definitions. Their JSON is in system/definition.
const (
	KindDerivedColumn DefinitionKind = "derived_column"
	KindSLO           DefinitionKind = "slo"
	KindBurnAlert     DefinitionKind = "burn_alert"
	KindTrigger       DefinitionKind = "trigger"
	KindMarker        DefinitionKind = "marker"
	KindRecipient     DefinitionKind = "recipient"
)

// ErrNameTaken: the dataset has another definition of that kind and name.
var ErrNameTaken = errors.New("the name is taken")

// OfTeams stands for a dataset where what is defined for whole teams is listed.
const OfTeams = -2

// MaxBodyBytes bounds the body of a definition and the notice of an evaluation.
const MaxBodyBytes = 1 << 20

// Definition is something that a team has defined for one of its datasets.
type Definition struct {
	ID      int64 // given by the catalog, never reused
	Team    int64
	Dataset int64 // 0: of the whole team
	Kind    DefinitionKind
	Name    string          // unique per team, dataset and kind, case-sensitive, UTF-8 of 1 to 255 bytes
	Body    json.RawMessage // kept byte for byte, at most MaxBodyBytes
	Created time.Time       // by the database's clock
	Updated time.Time       // Created, or when it was last changed
	Version int64           // 1, and one more with each change
}

// Definitions is the part of the metadata store that keeps definitions. As with [Catalog], each operation is one
// transaction and can be repeated when its outcome is unknown. What breaks a limit of [Definition] is refused.
type Definitions interface {
	// Define creates a definition, or returns the one that is there with the same name and an equal body: the same bytes.
	// Only Team, Dataset, Kind, Name and Body are looked at.
	// ErrNotFound: there is no such team, or it has no such dataset. ErrNameTaken: the name has another body.
	Define(ctx context.Context, d Definition) (Definition, error)
	// Redefine replaces name and body of a definition by its ID; nothing else of d is looked at. If both are what they
	// were, nothing changes, Version included. ErrNotFound, ErrNameTaken.
	Redefine(ctx context.Context, d Definition) (Definition, error)
	// Definition is the one with that ID. ErrNotFound.
	Definition(ctx context.Context, id int64) (Definition, error)
	// DefinitionsOf lists a dataset's definitions of the given kinds by ID, of all kinds if none is given. ErrNotFound: the
	// dataset is gone. Dataset 0 lists those of all datasets and teams, and OfTeams those of no dataset, of all teams.
	DefinitionsOf(ctx context.Context, dataset int64, kinds ...DefinitionKind) ([]Definition, error)
	// Undefine deletes a definition with its counts and evaluations; ErrNotFound if it is gone already. Deleting a dataset
	// deletes its definitions likewise.
	Undefine(ctx context.Context, id int64) error
}
