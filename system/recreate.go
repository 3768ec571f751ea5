package system

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

// Recreate is what [FaultRecreate] does in every world: it deletes a dataset and creates it again under the same name, as a
// customer's script does. partitions is how many the events topic has.
func Recreate(ctx context.Context, c port.Catalog, f Fault, partitions int32) error {
	team, err := c.TeamByKey(ctx, TeamKey(f.Team))
	if err != nil {
		return fmt.Errorf("team %s: %w", f.Team, err)
	}
	old, err := c.Dataset(ctx, team.ID, catalog.Slug(f.Dataset))
	if err != nil {
		return fmt.Errorf("dataset %s: %w", f.Dataset, err)
	}
	if err := c.DeleteDataset(ctx, old.ID); err != nil && !errors.Is(err, port.ErrNotFound) {
		return fmt.Errorf("delete dataset %s: %w", f.Dataset, err)
	}
	made, _, err := c.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: old.Name, Spread: len(old.Partitions), Of: spreadOf(partitions, old.Partitions)})
	if err != nil {
		return fmt.Errorf("create dataset %s again: %w", f.Dataset, err)
	}
	if made.ID == old.ID {
		return fmt.Errorf("dataset %s has the same ID as before", f.Dataset)
	}
	return nil
}
