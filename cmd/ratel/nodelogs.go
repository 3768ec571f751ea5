package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// logFolder is where the nodes of a run on real servers write what they print, until the run has a folder of its own.
// It is empty in the simulation, whose nodes print nothing.
type logFolder string

// nodeLogs makes the folder, beside the runs' so that it can be moved.
func nodeLogs(f runFlags) (logFolder, error) {
	if f.world != worldContainers {
		return "", nil
	}
	err := os.MkdirAll(f.runs, 0o755)
	dir := ""
	if err == nil {
		dir, err = os.MkdirTemp(f.runs, ".nodes-")
	}
	if err != nil {
		return "", fmt.Errorf("make a folder for what the nodes print: %w", err)
	}
	return logFolder(dir), nil
}

// into moves the nodes' output into the run's folder.
func (l logFolder) into(dir string) error {
	if l == "" || dir == "" {
		return nil
	}
	if err := os.Rename(string(l), filepath.Join(dir, "nodes")); err != nil {
		return fail(exitIO, err, "What the nodes printed is in "+string(l)+".")
	}
	return nil
}

// explain says where the nodes' output is, for a run that left nothing else.
func (l logFolder) explain(err error) error {
	if l == "" || err == nil {
		return err
	}
	if os.Remove(string(l)) == nil { // nothing was printed
		return err
	}
	return fmt.Errorf("%w (what the nodes printed is in %s)", err, string(l))
}

// drop removes a folder that nothing was written to.
func (l logFolder) drop() error {
	if l == "" {
		return nil
	}
	return os.Remove(string(l))
}
