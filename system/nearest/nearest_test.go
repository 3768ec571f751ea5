package nearest

import "testing"

func TestName(t *testing.T) {
	t.Parallel()
	names := []string{"STARTS_WITH", "ENDS_WITH", "LT", "LTE", "frequency"}
	for word, want := range map[string]string{
		"STARTWITH": "STARTS_WITH", "ends_with": "ENDS_WITH", "LTT": "LT", "frequenzy": "frequency", "somethingelse": "", "LTE": "LTE",
	} {
		if got := Name(word, names); got != want {
			t.Errorf("%s: got %q, expected %q", word, got, want)
		}
	}
	if got := Suggest("qqqqqqq", names[2:4]); got != "there are LT, LTE" {
		t.Error(got)
	}
	if got := Suggest("lt", names); got != "did you mean LT?" {
		t.Error(got)
	}
	if Name(string(make([]byte, maxWord+1)), names) != "" {
		t.Error("a very long word is compared")
	}
}
