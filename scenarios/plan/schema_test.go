package plan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/trigger"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(plan.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plan.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("plan.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func against(s *jsonschema.Schema, data []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestSchemaHoldsEveryPlanOfTheLibrary(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	list, err := library.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range list {
		p, err := script.Plan(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := against(s, data); err != nil {
			t.Errorf("%s: %v", script.Name, err)
		}
	}
}

func TestSchemaHoldsEveryValidPlan(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	rapid.Check(t, func(t *rapid.T) {
		data, err := drawPlan(t).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := against(s, data); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
	})
}

// TestSchemaRefuses shows that the schema refuses the broken plans of testdata, but for mistakes that no schema can see.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	beyond := []string{"aimed_containers", "expect_broken", "expect_differs", "twice"}
	s := compiled(t)
	files, err := filepath.Glob("testdata/errors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if refused := against(s, data) != nil; refused == slices.Contains(beyond, name) {
			t.Errorf("%s: refused by the schema is %v", name, refused)
		}
	}
}

type object struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Closed     *bool                      `json:"additionalProperties"`
}

// TestSchemaHasTheFieldsOfTheCode compares every definition with the Go type that it describes.
func TestSchemaHasTheFieldsOfTheCode(t *testing.T) {
	t.Parallel()
	var root struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(plan.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{
		"": reflect.TypeFor[plan.Plan](), "pos": reflect.TypeFor[plan.Pos](), "param": reflect.TypeFor[plan.Param](), "choice": reflect.TypeFor[plan.Choice](),
		"system": reflect.TypeFor[system.Topology](), "zookeeper": reflect.TypeFor[system.ZooKeeper](), "kafka": reflect.TypeFor[system.Kafka](),
		"shepherd": reflect.TypeFor[shepherd.Config](), "retriever": reflect.TypeFor[retriever.Config](), "query": reflect.TypeFor[query.Config](), "team": reflect.TypeFor[system.Team](),
		"beagle": reflect.TypeFor[beagle.Config](), "trigger": reflect.TypeFor[trigger.Config](), "telemetry": reflect.TypeFor[telemetry.Config](), "observer": reflect.TypeFor[observer.Config](), "objective": reflect.TypeFor[plan.Objective](), "alert": reflect.TypeFor[plan.Alert](),
		"guard":  reflect.TypeFor[plan.Guard](),
		"reader": reflect.TypeFor[plan.Reader](), "traffic": reflect.TypeFor[plan.Traffic](),
		"phase": reflect.TypeFor[plan.Phase](), "fault": reflect.TypeFor[plan.Fault](), "step": reflect.TypeFor[plan.Step](), "aim": reflect.TypeFor[plan.Aim](), "selector": reflect.TypeFor[plan.Selector](),
		"expectation": reflect.TypeFor[plan.Expectation](), "check": reflect.TypeFor[plan.Check](), "check_args": reflect.TypeFor[plan.CheckArgs](),
	}
	for name, typ := range types {
		def := root.Defs[name]
		if name == "" {
			def = root.object
		}
		var fields, required []string
		for i := range typ.NumField() {
			key, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if fields = append(fields, key); options == "" {
				required = append(required, key)
			}
		}
		var properties []string
		for key := range def.Properties {
			properties = append(properties, key)
		}
		for _, list := range [][]string{fields, required, properties, def.Required} {
			slices.Sort(list)
		}
		if !slices.Equal(fields, properties) || !slices.Equal(required, def.Required) || def.Closed == nil || *def.Closed {
			t.Errorf("%q: the schema has %v (required %v), the code %v (always written %v)", name, properties, def.Required, fields, required)
		}
	}
	for name := range root.Defs {
		if _, ok := types[name]; !ok && name != "duration" && name != "stage" {
			t.Errorf("the schema defines %q, which is compared with nothing", name)
		}
	}
}

// TestSchemaHasTheNamesOfTheCode compares enumerations.
func TestSchemaHasTheNamesOfTheCode(t *testing.T) {
	t.Parallel()
	var root struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Enum []any `json:"enum"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(plan.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	same := func(def, property string, want []string) {
		t.Helper()
		var got []string
		for _, v := range root.Defs[def].Properties[property].Enum {
			got = append(got, v.(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s.%s: the schema has %v, the code %v", def, property, got, want)
		}
	}
	same("check", "name", plan.CheckNames())
	same("aim", "on", plan.AimEvents())
	same("fault", "kind", names(plan.FaultKinds()))
	same("selector", "role", names(plan.Roles()))
}

func names[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
