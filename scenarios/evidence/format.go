package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Files of a run's folder that are evidence. MANIFEST.json is written last and lists the others with their digests; what
// else lies in the folder (verdict.json, report.html, …) is not evidence. docs/checks.md describes the formats.
const (
	ManifestFile = "MANIFEST.json"
	RunFile      = "run.json"           // Run
	PlanFile     = "plan.json"          // the plan, as plan.Encode writes it
	HistoryFile  = "history.jsonl.zst"  // one Op a line
	LogFile      = "log.marks.zst"      // LogMarks in the binary form of marks.go
	HeldFile     = "held.marks.zst"     // HeldMarks, likewise
	QueriesFile  = "queries.jsonl.zst"  // one Query a line, its result as queries.go writes it
	CommitsFile  = "commits.jsonl"      // one Commit a line
	PairsFile    = "pairs.jsonl"        // one PairRange a line
	PlacesFile   = "places.jsonl"       // one Place a line
	MetricsFile  = "metrics.jsonl"      // one Sample a line
	EventsFile   = "events.jsonl"       // one Entry a line
	GapsFile     = "gaps.jsonl"         // one Gap a line
	formatName   = "ratel run evidence" // of every manifest

	SLOsFile        = "slos.jsonl"        // one SLO a line
	CountsFile      = "counts.jsonl"      // one SLOCount a line
	ProgressFile    = "progress.jsonl"    // one Progress a line
	AlertsFile      = "alerts.jsonl"      // one Alert a line
	EvaluationsFile = "evaluations.jsonl" // one Evaluation a line, as alertlines.go writes it
	DeliveriesFile  = "deliveries.jsonl"  // one Delivery a line, likewise

	TelemetryFile = "telemetry.jsonl.zst" // one Telemetry a line
	RecordsFile   = "records.jsonl.zst"   // one Record a line
)

// files are all evidence files in the order in which two runs are compared: first what was to be done, then what
// happened, then what was measured, then what was left.
func files() []string { return filesOf(Version) }

// filesOf are those of a format version.
func filesOf(version int) []string {
	switch version {
	case 1:
		return []string{PlanFile, EventsFile, HistoryFile, MetricsFile, LogFile, HeldFile, GapsFile, RunFile}
	case 2:
		return []string{PlanFile, EventsFile, HistoryFile, QueriesFile, MetricsFile, CommitsFile, PlacesFile, LogFile, HeldFile, PairsFile, GapsFile, RunFile}
	case 3:
		return []string{
			PlanFile, EventsFile, SLOsFile, AlertsFile, HistoryFile, QueriesFile, EvaluationsFile, DeliveriesFile, ProgressFile, CountsFile,
			MetricsFile, CommitsFile, PlacesFile, LogFile, HeldFile, PairsFile, GapsFile, RunFile,
		}
	case 4:
		return []string{
			PlanFile, EventsFile, SLOsFile, AlertsFile, HistoryFile, QueriesFile, EvaluationsFile, DeliveriesFile, ProgressFile, CountsFile,
			MetricsFile, TelemetryFile, CommitsFile, PlacesFile, LogFile, HeldFile, PairsFile, GapsFile, RunFile,
		}
	}
	return []string{
		PlanFile, EventsFile, SLOsFile, AlertsFile, HistoryFile, QueriesFile, EvaluationsFile, DeliveriesFile, ProgressFile, CountsFile,
		MetricsFile, TelemetryFile, CommitsFile, PlacesFile, RecordsFile, LogFile, HeldFile, PairsFile, GapsFile, RunFile,
	}
}

// Kinds of errors of Save and Load. Their texts say what, where and what to do.
var (
	// ErrForeign: the folder is not one of a run, or its saving was never completed.
	ErrForeign = errors.New("not a run's folder")
	// ErrVersion: the folder was written in a format that this build does not read.
	ErrVersion = errors.New("format version not known")
	// ErrDamaged: a file is missing, cut short or altered.
	ErrDamaged = errors.New("damaged")
	// ErrTooLarge: the evidence needs more memory than the limits allow.
	ErrTooLarge = errors.New("too large")
	// ErrExists: there is something at the folder's path already.
	ErrExists = errors.New("already exists")
	// ErrNoSpace: the disk or the user's quota is full.
	ErrNoSpace = errors.New("no space left")
)

// Limits bound what Load uses, so that a hostile or damaged folder cannot exhaust the machine.
type Limits struct {
	Memory int64 // estimated bytes of the decoded evidence
	Line   int   // longest line of a .jsonl file, in bytes
}

// DefaultLimits let a run of about 30 million events be loaded.
func DefaultLimits() Limits { return Limits{Memory: 4 << 30, Line: 8 << 20} }

// maxManifest bounds the manifest; nineteen files need about 6 KiB.
const maxManifest = 64 << 10

// manifest lists the files of a folder.
type manifest struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Files   []Digest `json:"files"`
}

// Digest is one file of a run's folder. Content is what counts when two runs are compared: for a compressed file it is
// taken before compression, which may differ between versions of the compressor.
type Digest struct {
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	ContentSize int64  `json:"content_size"`
	Content     string `json:"content_sha256"`
}

// fault makes an error of what went wrong at path, of one of the kinds above if it is one, with what to do about it.
func fault(doing, path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s %s: %w: free some space or choose another folder with --runs; nothing incomplete was left behind: %w", doing, path, ErrNoSpace, err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s %s: a part of that path is a file, not a folder: choose another folder: %w", doing, path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %s: no permission: make it accessible to this user or choose another folder: %w", doing, path, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s %s: the file system is read-only: choose another folder: %w", doing, path, err)
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}
