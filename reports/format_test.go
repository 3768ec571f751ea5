package reports

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func unmarshalXML(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := xml.Unmarshal(data, into); err != nil {
		t.Fatalf("not XML: %v", err)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": count(0), "999": count(999), "1,000": count(1000), "-1,234,567": count(-1234567),
		"4.21 ms": duration(4213 * time.Microsecond), "1.5 s": duration(1500 * time.Millisecond), "2m05s": duration(125 * time.Second), "1h01m": duration(61 * time.Minute), "–": duration(-1),
		"12.345 s": moment(12345 * time.Millisecond), "100 %": percent(1), "99.995 %": percent(0.99995), "99.5 %": percent(0.995), "99.9999 %": percent(0.999999), "99 %": percent(0.99), "96.3 %": percent(0.9639), "98.9 %": percent(0.98996), "94.9 %": percent(0.9496), "91 %": percent(0.91), "0.031 %": percent(0.00031), "0 %": percent(0),
		"1 event": plural(1, "event"), "1,200 events": plural(1200, "event"), "ab…": clip("abcd", 3), "abc": clip("abc", 3),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWrappingLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zé]{1,30}`)).Draw(t, "words")
		width := rapid.IntRange(5, 60).Draw(t, "width")
		indent := strings.Repeat(" ", rapid.IntRange(0, 4).Draw(t, "indent"))
		text := strings.Join(words, " ")
		lines := wrap(text, width, indent)
		for _, line := range lines {
			if utf8.RuneCountInString(line) > width {
				t.Fatalf("%q is wider than %d", line, width)
			}
		}
		joined := strings.ReplaceAll(strings.Join(lines, ""), " ", "")
		if joined != strings.ReplaceAll(text, " ", "") {
			t.Fatalf("%q became %q", text, lines)
		}
	})
}
