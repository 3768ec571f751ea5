package evidence

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
)

// writeLines writes one JSON object a line.
func writeLines[T any](w io.Writer, list []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// readLines reads one JSON object a line. size estimates the memory of one; budget is what is left of the limit.
func readLines[T any](r io.Reader, limits Limits, budget *int64, size func(*T) int64) ([]T, error) {
	var list []T
	br := bufio.NewReaderSize(r, 1<<16)
	var long []byte
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		long = long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > limits.Line {
				return nil, fmt.Errorf("line %d: %w: it has more than %d bytes", n, ErrTooLarge, limits.Line)
			}
			line, err = br.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				return nil, fmt.Errorf("line %d: %w: it has no end", n, ErrDamaged)
			}
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal(bytes.TrimSuffix(line, []byte("\n")), &v); err != nil {
			return nil, fmt.Errorf("line %d: %w: %w", n, ErrDamaged, err)
		}
		if *budget -= size(&v); *budget < 0 {
			return nil, fmt.Errorf("line %d: %w", n, errBudget)
		}
		list = append(list, v)
	}
}

// finite returns samples that JSON can hold: a value that is not a number or infinite was not measured, and so is left out,
// as package documentation has it.
func finite(samples []Sample) []Sample {
	odd := func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	var out []Sample
	for i, s := range samples {
		for _, v := range s.Values {
			if !odd("", v) {
				continue
			}
			if out == nil {
				out = append(make([]Sample, 0, len(samples)), samples...)
			}
			values := maps.Clone(s.Values)
			maps.DeleteFunc(values, odd)
			out[i].Values = values
			break
		}
	}
	if out == nil {
		return samples
	}
	return out
}
