// Package library holds the scenario scripts that Ratel brings with it, and finds a script by its name here or by its
// path on disk. The scripts are part of the program, so that it works alone.
package library

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/system/nearest"
)

//go:embed *.star
var scripts embed.FS

// folder is where the scripts are in the project's tree, so that their positions can be opened there.
const folder = "scenarios/library"

// Names lists the names of all scenarios of the library, sorted.
func Names() []string {
	entries, err := scripts.ReadDir(".")
	if err != nil {
		return nil // cannot be: the folder was embedded at build time
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = lang.Name(e.Name())
	}
	return names
}

// List reads all scenarios of the library, in order of their names.
func List() ([]*lang.Script, error) {
	var list []*lang.Script
	for _, name := range Names() {
		s, err := Find(name)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// NotFoundError says that the library has no such scenario.
type NotFoundError struct {
	Name string
	Hint string
}

// Error is one line.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no scenario %q: %s", e.Name, e.Hint)
}

// Find reads a scenario by its name, such as broker-loss, or a script on disk by its path: whatever ends in .star or has a
// slash in it. Errors are [NotFoundError], what the file system says, or of package lang.
func Find(ref string) (*lang.Script, error) {
	if strings.HasSuffix(ref, lang.Extension) || strings.ContainsAny(ref, `/\`) {
		return fromDisk(ref)
	}
	name := strings.ReplaceAll(ref, "_", "-")
	file := strings.ReplaceAll(ref, "-", "_") + lang.Extension
	text, err := scripts.ReadFile(file)
	if err != nil {
		e := &NotFoundError{Name: ref, Hint: "there are " + strings.Join(Names(), ", ") + "; a script of your own is given by its path, such as ./mine.star"}
		if near, ok := nearest.Name(name, Names()); ok {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		return nil, e
	}
	return lang.Load(path.Join(folder, file), text, scripts.ReadFile)
}

// fromDisk reads a script and, where it loads others, those below its folder and no others, symbolic links included.
func fromDisk(file string) (*lang.Script, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	text, err := readAll(f)
	if err != nil {
		return nil, fmt.Errorf("read script %s: %w", file, err)
	}
	folder := filepath.Dir(file)
	return lang.Load(filepath.ToSlash(file), text, func(name string) ([]byte, error) {
		f, err := os.OpenInRoot(folder, filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		return readAll(f)
	})
}

// readAll reads a file up to a little more than a script may have, so that lang can tell that it is too large.
func readAll(f *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, lang.MaxSource+1))
	if closing := f.Close(); err == nil {
		err = closing
	}
	return text, err
}
