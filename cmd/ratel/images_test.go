package main

import (
	"io"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
)

// TestImageFlagsReachTheWorld: what the flags name is what the world is made from, and a run that is repeated names it again.
func TestImageFlagsReachTheWorld(t *testing.T) {
	t.Parallel()
	var f runFlags
	cmd := &cobra.Command{}
	f.register(cmd)
	args := []string{"--world", "containers", "--base-image", "debian:12", "--debian-mirror", "http://127.0.0.1/debian", "--mysql-image", "mysql:9", "--s3-image", "minio"}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	got := f.images.options(io.Discard)
	want := containers.Options{Log: io.Discard, Base: "debian:12", Mirror: "http://127.0.0.1/debian", MySQLImage: "mysql:9", S3Image: "minio"}
	if got.Base != want.Base || got.Mirror != want.Mirror || got.MySQLImage != want.MySQLImage || got.S3Image != want.S3Image || got.Log != want.Log {
		t.Errorf("options %+v, want %+v", got, want)
	}
	var c cli
	if line, want := c.replayLine("runs/x", "quiet", f), "ratel run quiet --world containers --seed 1 --base-image debian:12 --debian-mirror http://127.0.0.1/debian --mysql-image mysql:9 --s3-image minio"; line != want {
		t.Errorf("to repeat it: %s\nwant: %s", line, want)
	}
}
