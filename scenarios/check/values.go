package check

import (
	"encoding/json"
	"math"
	"strconv"
)

// Values are one figure a bin. NaN, null in JSON, is a bin without data.
type Values []float64

// MarshalJSON writes numbers and nulls.
func (v Values) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+8*len(v))
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, x, 'g', -1, 64)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads numbers and nulls.
func (v *Values) UnmarshalJSON(data []byte) error {
	var points []*float64
	if err := json.Unmarshal(data, &points); err != nil {
		return err
	}
	*v = make(Values, len(points))
	for i, p := range points {
		if p == nil {
			(*v)[i] = math.NaN()
			continue
		}
		(*v)[i] = *p
	}
	return nil
}
