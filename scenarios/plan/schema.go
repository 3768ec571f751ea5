package plan

import (
	_ "embed" // for the schema
)

//go:embed plan.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of plans of this [Version], as published beside this file.
func Schema() []byte { return append([]byte(nil), schema...) }
