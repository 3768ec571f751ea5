package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
)

// imageFlags say where the containers world takes its images from, on machines with a registry. Without any of them all are
// made from packages and modules.
type imageFlags struct {
	base, mirror, mysql, s3 string
}

func (f *imageFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.base, "base-image", "", "containers world: a public Debian 12 image to build on, where there is a registry (default: made from packages)")
	fl.StringVar(&f.mirror, "debian-mirror", "", "containers world: the URL of the Debian mirror that images are made from (default: that of this machine's apt)")
	fl.StringVar(&f.mysql, "mysql-image", "", "containers world: a public image of MySQL, where there is a registry (default: made from packages)")
	fl.StringVar(&f.s3, "s3-image", "", "containers world: a public image of MinIO, where there is a registry (default: built from its Go module)")
}

// options are those of a containers world that is made from these images and says what takes long to log.
func (f *imageFlags) options(log io.Writer) containers.Options {
	return containers.Options{Log: log, Base: f.base, Mirror: f.mirror, MySQLImage: f.mysql, S3Image: f.s3}
}

// arguments are the flags as they were given, for a command that repeats a run.
func (f *imageFlags) arguments() []string {
	var args []string
	for _, a := range []struct{ flag, value string }{
		{"--base-image", f.base}, {"--debian-mirror", f.mirror}, {"--mysql-image", f.mysql}, {"--s3-image", f.s3},
	} {
		if a.value != "" {
			args = append(args, a.flag, a.value)
		}
	}
	return args
}
