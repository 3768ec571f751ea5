package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// Definitions is the table of the Definitions port. Sources: its comments, and MySQL's Reference Manual (foreign keys,
// unique indexes, AUTO_INCREMENT).
func Definitions() []CatalogRow {
	return []CatalogRow{
		{"a definition is the same however it is looked up", sameDefinition},
		{"a definition that is defined again is found, and its name is taken for any other body", definedAgain},
		{"names are unique per team, dataset and kind, and case-sensitive", definitionNames},
		{"a definition needs its team, and its team's dataset", definitionOwners},
		{"a change has a new version, and changes name and body alone", redefined},
		{"a change that changes nothing is none", redefinedAlike},
		{"a change finds its definition, and no name that is taken", redefineFails},
		{"definitions are listed by ID and kind", definitionsListed},
		{"those of all datasets and teams are listed at once", definitionsOfAll},
		{"what is undefined is gone, and its ID with it", undefined},
		{"names and bodies come back byte for byte", definitionBytes},
		{"definitions beyond the limits are refused", badDefinitions},
		{"of many who define one thing one does", defineRace},
		{"of two bodies for one name one is there", defineRaceOfBodies},
		{"of changes at once none is lost", redefineRace},
		{"a dataset takes its definitions, counts and evaluations along", datasetTakesAlong},
		{"a definition takes its counts and evaluations along", definitionTakesAlong},
	}
}

// slo is a definition that nobody reads.
func slo(ds port.Dataset, name string) port.Definition {
	return port.Definition{Team: ds.Team, Dataset: ds.ID, Kind: port.KindSLO, Name: name, Body: json.RawMessage(`{"name": "` + name + `"}`)}
}

// of is a definition of another kind.
func of(kind port.DefinitionKind, d port.Definition) port.Definition {
	d.Kind = kind
	return d
}

// define creates the row's dataset, and defines what make returns for it.
func (e *CatalogEnv) define(ctx context.Context, make func(ds port.Dataset) []port.Definition) (port.Dataset, []port.Definition, error) {
	ds, err := e.dataset(ctx)
	if err != nil {
		return ds, nil, err
	}
	var all []port.Definition
	for _, d := range make(ds) {
		made, err := e.A.Define(ctx, d)
		if err != nil {
			return ds, nil, err
		}
		all = append(all, made)
	}
	return ds, all, nil
}

// one is define of one definition.
func (e *CatalogEnv) one(ctx context.Context, kind port.DefinitionKind) (port.Dataset, port.Definition, error) {
	ds, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition { return []port.Definition{of(kind, slo(ds, "one"))} })
	if err != nil {
		return ds, port.Definition{}, err
	}
	return ds, all[0], nil
}

// alike compares what %+v shows of two values.
func alike(what string, got, want any) error {
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		return fmt.Errorf("%s: %.1000s, expected %.1000s", what, g, w)
	}
	return nil
}

func idsOf(all []port.Definition) []int64 {
	ids := make([]int64, len(all))
	for i, d := range all {
		ids[i] = d.ID
	}
	return ids
}

func sameDefinition(ctx context.Context, e *CatalogEnv) error {
	before := e.Runtime.Now()
	ds, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	if d := made.Created.Sub(before); d < -time.Minute || d > time.Minute || made.ID <= 0 || made.Version != 1 || !made.Updated.Equal(made.Created) {
		return fmt.Errorf("at %v defined %+v", before, made)
	}
	want := slo(ds, "one")
	want.ID, want.Version, want.Created, want.Updated = made.ID, 1, made.Created, made.Created
	byID, err1 := e.B.Definition(ctx, made.ID)
	list, err2 := e.B.DefinitionsOf(ctx, ds.ID)
	again, err3 := e.B.Define(ctx, slo(ds, "one"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("%d definitions are listed", len(list))
	}
	for i, got := range []port.Definition{made, byID, again, list[0]} {
		if err := alike(fmt.Sprintf("look-up %d", i), got, want); err != nil {
			return err
		}
		clear(got.Body) // it is the caller's own
	}
	byID, err = e.B.Definition(ctx, made.ID)
	return errors.Join(err, alike("after the callers changed theirs", byID, want))
}

func definedAgain(ctx context.Context, e *CatalogEnv) error {
	ds, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	again := slo(ds, "one")
	again.ID, again.Version, again.Created = 1<<40, 17, time.Unix(1, 0) // not looked at
	got, err := e.B.Define(ctx, again)
	if err := errors.Join(err, alike("defined again", got, made)); err != nil {
		return err
	}
	for _, body := range []string{`{"name":"one"}`, `{"name": "One"}`, "", "null"} {
		other := slo(ds, "one")
		other.Body = json.RawMessage(body)
		_, err := e.B.Define(ctx, other)
		if err := certainly(fmt.Sprintf("define with the body %q", body), err, port.ErrNameTaken); err != nil {
			return err
		}
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	return errors.Join(err, alike("afterwards", list, []port.Definition{made}))
}

func definitionNames(ctx context.Context, e *CatalogEnv) error {
	ds, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	other, _, err1 := e.A.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: "other", Spread: 1, Of: 1})
	team, err2 := e.A.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name + "2"})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	seen := []int64{made.ID}
	for _, d := range []port.Definition{
		slo(other, "one"), of(port.KindTrigger, slo(ds, "one")), of(port.KindDerivedColumn, slo(ds, "one")), slo(port.Dataset{Team: ds.Team}, "one"),
		slo(port.Dataset{Team: team.ID}, "one"), slo(ds, "One"), slo(ds, "one "), slo(ds, " one"), slo(ds, "öne"),
	} {
		d.Body = json.RawMessage("another")
		got, err := e.A.Define(ctx, d)
		if err != nil || slices.Contains(seen, got.ID) {
			return fmt.Errorf("%+v became %+v, %w; there are %v", d, got, err, seen)
		}
		seen = append(seen, got.ID)
		d.Body = json.RawMessage("yet another")
		_, err = e.B.Define(ctx, d)
		if err := certainly(fmt.Sprintf("%+v", d), err, port.ErrNameTaken); err != nil {
			return err
		}
	}
	return nil
}

func definitionOwners(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	team, err := e.A.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name + "2"})
	if err != nil {
		return err
	}
	const nobody = 1 << 40
	for _, at := range []port.Dataset{{Team: nobody}, {Team: nobody, ID: ds.ID}, {Team: ds.Team, ID: nobody}, {Team: team.ID, ID: ds.ID}} {
		_, err := e.A.Define(ctx, slo(at, "one"))
		if err := certainly(fmt.Sprintf("define for team %d and dataset %d", at.Team, at.ID), err, port.ErrNotFound); err != nil {
			return err
		}
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	return errors.Join(err, alike("afterwards", list, []port.Definition{}))
}

func redefined(ctx context.Context, e *CatalogEnv) error {
	_, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	if err := e.Runtime.Sleep(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	// Only name and body are looked at.
	got, err := e.A.Redefine(ctx, port.Definition{ID: made.ID, Team: 1 << 40, Dataset: 1 << 40, Kind: "other", Name: "two", Body: json.RawMessage("new"), Version: 9})
	if err != nil {
		return err
	}
	want := made
	want.Name, want.Body, want.Version, want.Updated = "two", json.RawMessage("new"), 2, got.Updated
	found, err := e.B.Definition(ctx, made.ID)
	if err := errors.Join(err, alike("redefined", got, want), alike("looked up", found, want)); err != nil {
		return err
	}
	if !got.Updated.After(made.Created) || got.Updated.Sub(made.Created) > time.Minute {
		return fmt.Errorf("created at %v, updated at %v", made.Created, got.Updated)
	}
	got, err = e.B.Redefine(ctx, port.Definition{ID: made.ID, Name: "two", Body: json.RawMessage("newer")})
	if err != nil || got.Version != 3 {
		return fmt.Errorf("another body: %+v, %w", got, err)
	}
	got, err = e.B.Redefine(ctx, port.Definition{ID: made.ID, Name: "Two", Body: json.RawMessage("newer")})
	if err != nil || got.Version != 4 || got.Name != "Two" {
		return fmt.Errorf("another name: %+v, %w", got, err)
	}
	again, err := e.A.Define(ctx, port.Definition{Team: made.Team, Dataset: made.Dataset, Kind: made.Kind, Name: "one", Body: made.Body})
	if err != nil || again.ID <= made.ID {
		return fmt.Errorf("its first name is not free: %+v, %w", again, err)
	}
	return nil
}

func redefinedAlike(ctx context.Context, e *CatalogEnv) error {
	_, made, err := e.one(ctx, port.KindSLO)
	if err != nil {
		return err
	}
	change := port.Definition{ID: made.ID, Name: "two", Body: made.Body}
	first, err := e.A.Redefine(ctx, change)
	if err != nil {
		return err
	}
	again, err := e.B.Redefine(ctx, change)
	if err := errors.Join(err, alike("again", again, first)); err != nil {
		return err
	}
	got, err := e.A.Definition(ctx, made.ID)
	return errors.Join(err, alike("afterwards", got, first))
}

func redefineFails(ctx context.Context, e *CatalogEnv) error {
	ds, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition {
		return []port.Definition{slo(ds, "one"), slo(ds, "two"), of(port.KindTrigger, slo(ds, "three"))}
	})
	if err != nil {
		return err
	}
	_, taken := e.A.Redefine(ctx, port.Definition{ID: all[1].ID, Name: "one", Body: all[0].Body})
	_, missing := e.A.Redefine(ctx, port.Definition{ID: 1 << 40, Name: "one"})
	_, long := e.A.Redefine(ctx, port.Definition{ID: all[1].ID, Name: strings.Repeat("x", 256)})
	_, empty := e.A.Redefine(ctx, port.Definition{ID: all[1].ID})
	_, big := e.A.Redefine(ctx, port.Definition{ID: all[1].ID, Name: "big", Body: make([]byte, port.MaxBodyBytes+1)})
	if err := errors.Join(certainly("a name that is taken", taken, port.ErrNameTaken), certainly("of nothing", missing, port.ErrNotFound),
		refused("a long name", long, nil), refused("no name", empty, nil), refused("a big body", big, nil)); err != nil {
		return err
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	if err := errors.Join(err, alike("afterwards", list, all)); err != nil {
		return err
	}
	// The name of another kind is free.
	_, err = e.A.Redefine(ctx, port.Definition{ID: all[1].ID, Name: "three", Body: all[1].Body})
	return err
}

func definitionsListed(ctx context.Context, e *CatalogEnv) error {
	ds, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition {
		return []port.Definition{
			slo(ds, "z"), of(port.KindTrigger, slo(ds, "a")), of(port.KindDerivedColumn, slo(ds, "m")), slo(ds, "b"), of(port.KindMarker, slo(ds, "y")),
			slo(port.Dataset{Team: ds.Team}, "of the team"),
		}
	})
	if err != nil {
		return err
	}
	for _, c := range []struct {
		kinds []port.DefinitionKind
		want  []port.Definition
	}{
		{nil, all[:5]},
		{[]port.DefinitionKind{port.KindSLO}, []port.Definition{all[0], all[3]}},
		{[]port.DefinitionKind{port.KindTrigger, port.KindSLO, port.KindTrigger}, []port.Definition{all[0], all[1], all[3]}},
		{[]port.DefinitionKind{port.KindRecipient}, []port.Definition{}},
		{[]port.DefinitionKind{"SLO", "", "nothing"}, []port.Definition{}},
	} {
		got, err := e.B.DefinitionsOf(ctx, ds.ID, c.kinds...)
		if err := errors.Join(err, alike(fmt.Sprintf("of kinds %q", c.kinds), got, c.want)); err != nil {
			return err
		}
	}
	empty, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: ds.Team, Name: "empty", Spread: 1, Of: 1})
	if err != nil {
		return err
	}
	for _, kinds := range [][]port.DefinitionKind{nil, {port.KindSLO}} {
		none, err := e.B.DefinitionsOf(ctx, empty.ID, kinds...)
		if err := errors.Join(err, alike("of a dataset without any", none, []port.Definition{})); err != nil {
			return err
		}
	}
	for _, kinds := range [][]port.DefinitionKind{nil, {port.KindSLO, port.KindMarker}} {
		wide, err := e.B.DefinitionsOf(ctx, port.OfTeams, kinds...)
		wide = slices.DeleteFunc(wide, func(d port.Definition) bool { return d.Team != ds.Team && d.Dataset == 0 }) // other rows'
		if err := errors.Join(err, alike("of no dataset", wide, all[5:])); err != nil {
			return err
		}
	}
	_, missing := e.B.DefinitionsOf(ctx, 1<<40)
	if err := errors.Join(certainly("of a dataset that never was", missing, port.ErrNotFound), e.A.DeleteDataset(ctx, empty.ID)); err != nil {
		return err
	}
	_, gone := e.B.DefinitionsOf(ctx, empty.ID, port.KindSLO)
	return certainly("of a deleted dataset", gone, port.ErrNotFound)
}

func definitionsOfAll(ctx context.Context, e *CatalogEnv) error {
	ds, all, err := e.define(ctx, func(ds port.Dataset) []port.Definition {
		return []port.Definition{slo(ds, "one"), of(port.KindTrigger, slo(ds, "two")), slo(port.Dataset{Team: ds.Team}, "of the team")}
	})
	if err != nil {
		return err
	}
	team, err := e.A.CreateTeam(ctx, port.NewTeam{Name: e.Name, Key: e.Name + "2"})
	if err != nil {
		return err
	}
	other, err := e.A.Define(ctx, slo(port.Dataset{Team: team.ID}, "of another team"))
	if err != nil {
		return err
	}
	all = append(all, other)
	got, err1 := e.B.DefinitionsOf(ctx, 0)
	slos, err2 := e.B.DefinitionsOf(ctx, 0, port.KindSLO)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	// Other rows may have left some.
	foreign := func(d port.Definition) bool { return d.Team != ds.Team && d.Team != team.ID }
	if !slices.IsSorted(idsOf(got)) || !slices.IsSorted(idsOf(slos)) {
		return fmt.Errorf("not by ID: %v, %v", idsOf(got), idsOf(slos))
	}
	return errors.Join(alike("all", slices.DeleteFunc(got, foreign), all),
		alike("SLOs", slices.DeleteFunc(slos, foreign), []port.Definition{all[0], all[2], all[3]}))
}

func undefined(ctx context.Context, e *CatalogEnv) error {
	ds, made, err := e.one(ctx, port.KindTrigger)
	if err != nil {
		return err
	}
	if err := e.A.Undefine(ctx, made.ID); err != nil {
		return err
	}
	_, gone := e.B.Definition(ctx, made.ID)
	_, change := e.B.Redefine(ctx, made)
	if err := errors.Join(certainly("undefine again", e.B.Undefine(ctx, made.ID), port.ErrNotFound), certainly("look-up", gone, port.ErrNotFound),
		certainly("change", change, port.ErrNotFound), certainly("undefine of what never was", e.A.Undefine(ctx, 1<<40), port.ErrNotFound)); err != nil {
		return err
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	if err := errors.Join(err, alike("those that are left", list, []port.Definition{}), e.Kill(ctx), e.Restart(ctx)); err != nil {
		return err
	}
	again, err := e.B.Define(ctx, of(port.KindTrigger, slo(ds, "one")))
	if err != nil || again.ID <= made.ID || again.Version != 1 {
		return fmt.Errorf("defined again after a restart: %+v, %w; expected an ID above %d", again, err, made.ID)
	}
	return nil
}

func definitionBytes(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for i, name := range []string{
		"quote's \"double\" `back`", `back\slash`, "émoji 🦡", "nul\x00l", "100%_sure", "--comment;", "%s ? $1", "/slash", " ", strings.Repeat("x", 255), strings.Repeat("ü", 127),
	} {
		for _, body := range [][]byte{nil, {}, []byte("{}"), []byte(` { "b" : 1.0, "a" : 1e3, "a":2 } `), {0, 0xff, '\'', '\\', '"', '\n', 0x1a, '?'}, bytes.Repeat([]byte{'\''}, 100_000)} {
			d := of(port.DefinitionKind(fmt.Sprint("kind", len(body), body == nil)), slo(ds, name))
			d.Body = body
			made, err := e.A.Define(ctx, d)
			if err != nil {
				return err
			}
			got, err := e.B.Definition(ctx, made.ID)
			if err != nil || got.Name != name || !bytes.Equal(got.Body, body) || !bytes.Equal(made.Body, body) || got.Kind != d.Kind {
				return fmt.Errorf("%d: %q with %.50q came back as %.500s, %w", i, name, body, fmt.Sprintf("%+v", got), err)
			}
		}
	}
	return nil
}

func badDefinitions(ctx context.Context, e *CatalogEnv) error {
	ds, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	for _, d := range []port.Definition{
		slo(ds, ""), slo(ds, strings.Repeat("x", 256)), slo(ds, "\xff"), of("", slo(ds, "no kind")),
		of(port.DefinitionKind(strings.Repeat("k", 33)), slo(ds, "long kind")), {Team: ds.Team, Dataset: ds.ID},
		{Team: ds.Team, Dataset: ds.ID, Kind: port.KindSLO, Name: "big", Body: make([]byte, port.MaxBodyBytes+1)},
	} {
		_, err := e.A.Define(ctx, d)
		if err := refused(fmt.Sprintf("%.20s %.20q with %d bytes", d.Kind, d.Name, len(d.Body)), err, nil); err != nil {
			return err
		}
	}
	big, err := e.A.Define(ctx, port.Definition{Team: ds.Team, Dataset: ds.ID, Kind: port.KindSLO, Name: "big", Body: make([]byte, port.MaxBodyBytes)})
	if err != nil || len(big.Body) != port.MaxBodyBytes {
		return fmt.Errorf("the biggest body: %d bytes, %w", len(big.Body), err)
	}
	list, err := e.B.DefinitionsOf(ctx, ds.ID)
	return errors.Join(err, alike("afterwards", idsOf(list), []int64{big.ID}))
}
