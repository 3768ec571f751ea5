package check

import "fmt"

// Verdict is what a check makes of a run. The zero Verdict is Inconclusive, so that nothing passes by having been forgotten.
type Verdict uint8

// Verdicts.
const (
	Inconclusive Verdict = iota // the evidence does not say
	Pass                        // the evidence says that the hypothesis held
	Fail                        // the evidence says that it did not
)

// String is "pass", "fail" or "inconclusive".
func (v Verdict) String() string {
	switch v {
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	case Inconclusive:
		return "inconclusive"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText writes the verdict as [Verdict.String] does.
func (v Verdict) MarshalText() ([]byte, error) {
	if v > Fail {
		return nil, fmt.Errorf("verdict %d: there are only pass, fail and inconclusive", uint8(v))
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads "pass", "fail" or "inconclusive".
func (v *Verdict) UnmarshalText(text []byte) error {
	switch string(text) {
	case "pass":
		*v = Pass
	case "fail":
		*v = Fail
	case "inconclusive":
		*v = Inconclusive
	default:
		return fmt.Errorf("verdict %q: expected pass, fail or inconclusive", text)
	}
	return nil
}

// Merge makes one verdict of many: fail before inconclusive before pass. Of none it is Inconclusive.
func Merge(verdicts ...Verdict) Verdict {
	if len(verdicts) == 0 {
		return Inconclusive
	}
	merged := Pass
	for _, v := range verdicts {
		switch {
		case v == Fail:
			return Fail
		case v != Pass:
			merged = Inconclusive
		}
	}
	return merged
}
