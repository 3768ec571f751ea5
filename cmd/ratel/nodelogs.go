package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// logFolder is where the nodes of a run on real servers write what they print, until the run has a folder of its own. It
// is the zero value in the simulation, whose nodes print nothing.
type logFolder struct {
	dir  string
	made string // the folder above it, if it was made for it
}

// nodeLogs makes the folder, beside the runs' so that it can be moved.
func nodeLogs(f runFlags) (logFolder, error) {
	if f.world != worldContainers {
		return logFolder{}, nil
	}
	l := logFolder{}
	if _, err := os.Stat(f.runs); errors.Is(err, fs.ErrNotExist) {
		l.made = f.runs
	}
	err := os.MkdirAll(f.runs, 0o755)
	if err == nil {
		l.dir, err = os.MkdirTemp(f.runs, ".nodes-")
	}
	if err != nil {
		return logFolder{}, fmt.Errorf("make a folder for what the nodes print: %w", err)
	}
	return l, nil
}

// into moves the nodes' output into the run's folder.
func (l logFolder) into(dir string) error {
	if l.dir == "" || dir == "" {
		return nil
	}
	if err := os.Rename(l.dir, filepath.Join(dir, "nodes")); err != nil {
		return fail(exitIO, err, "What the nodes printed is in "+l.dir+".")
	}
	return nil
}

// left takes the folder away again if nothing was printed, else says where it is.
func (l logFolder) left() string {
	switch {
	case l.dir == "":
		return ""
	case os.Remove(l.dir) != nil: // not empty
		return " (what the nodes printed is in " + l.dir + ")"
	case l.made != "":
		_ = os.Remove(l.made) // somebody else may have put something there
	}
	return ""
}

// orExplain says in an error what left says.
func (l logFolder) orExplain(err error) error {
	if err == nil {
		return nil
	}
	if where := l.left(); where != "" {
		return fmt.Errorf("%w%s", err, where)
	}
	return err
}
