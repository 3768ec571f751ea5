package duration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]() //nolint:gochecknoglobals // a type

// mirrored is a struct type like t, whose durations are Text.
func mirrored(t reflect.Type) reflect.Type {
	fields := reflect.VisibleFields(t)
	for i := range fields {
		if fields[i].Type == durationType {
			fields[i].Type = reflect.TypeFor[Text]()
		}
	}
	return reflect.StructOf(fields)
}

// MarshalStruct encodes a flat struct with exported fields as JSON, its durations as strings such as "1m30s". It is what a
// configuration's MarshalJSON calls.
func MarshalStruct(v any) ([]byte, error) {
	from := reflect.ValueOf(v)
	to := reflect.New(mirrored(from.Type())).Elem()
	for i := range from.NumField() {
		to.Field(i).Set(from.Field(i).Convert(to.Field(i).Type()))
	}
	return json.Marshal(to.Interface())
}

// UnmarshalStruct decodes into the struct that v points to what MarshalStruct writes. What data does not say stays as it
// was. A key that the struct does not have is an error that names those it has.
func UnmarshalStruct(data []byte, v any) error {
	into := reflect.ValueOf(v).Elem()
	from := reflect.New(mirrored(into.Type()))
	for i := range into.NumField() {
		from.Elem().Field(i).Set(into.Field(i).Convert(from.Elem().Field(i).Type()))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(from.Interface()); err != nil {
		if strings.Contains(err.Error(), "unknown field") {
			return fmt.Errorf("%w: there are %s", err, strings.Join(keys(into.Type()), ", "))
		}
		return err
	}
	for i := range into.NumField() {
		into.Field(i).Set(from.Elem().Field(i).Convert(into.Field(i).Type()))
	}
	return nil
}

func keys(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
