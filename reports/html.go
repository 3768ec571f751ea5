package reports

import (
	"bytes"
	_ "embed" // the page's assets
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// The page's parts. uPlot 1.6.32 is as its author published it (npm package uplot, MIT; its licence is shown in the page).
var (
	//go:embed assets/report.gohtml
	pageTemplate string
	//go:embed assets/report.css
	pageStyle string
	//go:embed assets/report.js
	pageScript string
	//go:embed assets/uplot/uPlot.iife.min.js
	uplotScript string
	//go:embed assets/uplot/uPlot.min.css
	uplotStyle string
	//go:embed assets/uplot/LICENSE
	uplotLicense string
)

// HTML writes report.html: one file that needs nothing else and asks nothing of any network, which its own content security
// policy enforces. It contains nothing but the evidence and its judgement, so the same evidence gives the same bytes.
func HTML(w io.Writer, ev *evidence.Evidence, j *check.Judgement) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		// Scripts and styles are the project's own assets: nothing of a run gets into them.
		"uplotStyle":  func() template.CSS { return template.CSS(uplotStyle) },
		"style":       func() template.CSS { return template.CSS(pageStyle) },
		"uplotScript": func() template.JS { return template.JS(uplotScript) },
		"script":      func() template.JS { return template.JS(pageScript) },
		"count":       count[int64],
		"moment":      moment,
		"duration":    duration,
		"percent":     percent,
		"bound":       bound,
		"quantiles":   quantiles,
		"number":      figure,
		"place":       placeInLog,
		"upper":       strings.ToUpper,
		"since":       func(t, from time.Duration) string { return after(t, from) },
		"pair":        func(a, b any) []any { return []any{a, b} },
		"plus":        func(a, b int) int { return a + b },
		"sum":         func(a, b float64) float64 { return a + b },
	}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("internal: the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, newPage(ev, j)); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// figure writes a number of a check with its unit.
func figure(n check.Number) string {
	switch n.Unit {
	case "s":
		if n.Value < 0 {
			return "–"
		}
		return duration(time.Duration(n.Value * float64(time.Second)))
	case "ratio":
		return percent(n.Value)
	}
	return strings.TrimSpace(chartValue("", n.Value) + " " + n.Unit)
}
