package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/ratel-sim/ratel/system/port"
)

// Schema is the version of the catalog's schema that this build needs: the number of the last of its migrations.
const Schema = 6

// Migrations names the migrations that make the schema, in order: the files of system/mysql.
func Migrations() []string {
	return []string{"0001_teams", "0002_datasets", "0003_columns", "0004_definitions", "0005_counts", "0006_evaluations"}
}

// CheckVersion says which migrations a schema of that version lacks. The error matches port.ErrSchema.
func CheckVersion(version int64) error {
	names := Migrations()
	switch {
	case version < 0 || version > Schema:
		return fmt.Errorf("%w: its version is %d and this build knows %d migrations (the last is %s): run the build that made it, or a newer one",
			port.ErrSchema, version, Schema, names[Schema-1])
	case version < Schema:
		return fmt.Errorf("%w: its version is %d, and it lacks %s: run the migrations first", port.ErrSchema, version, strings.Join(names[version:], ", "))
	}
	return nil
}

// CheckSchema asks the catalog for its version and checks it, as a role does before it begins. It writes nothing.
func CheckSchema(ctx context.Context, c port.Catalog) error {
	version, err := c.SchemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask for the version of the catalog's schema: %w", err)
	}
	return CheckVersion(version)
}
