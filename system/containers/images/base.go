package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

const (
	// suite is the Debian release of the base: 12, the newest with OpenJDK 17, which Kafka 3.9 wants.
	suite = "bookworm"
	// PublicBase is the public image of the same release, used when it is already on the engine.
	PublicBase = "debian:bookworm-slim"
	// recipe is raised when the way in which the base is built changes.
	recipe = "2"
)

// baseRef names the base image and tells whether it is built here.
func (b *Builder) baseRef(ctx context.Context) (ref string, own bool, err error) {
	if b.opt.Base != "" {
		return b.opt.Base, false, nil
	}
	own = CanDebootstrap() == nil
	ref = "ratel-base:" + fingerprint([]byte(suite), []byte(recipe), []byte(b.engine.Arch))
	if have, err := b.exists(ctx, ref); err != nil || have {
		return ref, true, err
	}
	if !own {
		// No debootstrap: a public image that someone has already pulled does as well.
		if have, err := b.exists(ctx, PublicBase); err != nil || have {
			return PublicBase, false, err
		}
	}
	return ref, true, nil
}

// Base makes sure of the base image and returns its reference.
func (b *Builder) Base(ctx context.Context) (string, error) {
	ref, own, err := b.baseRef(ctx)
	if err != nil {
		return "", err
	}
	have, err := b.exists(ctx, ref)
	if err != nil || have {
		return ref, err
	}
	if own {
		return ref, b.bootstrapBase(ctx, ref)
	}
	return ref, b.pull(ctx, ref, "name another Debian 12 image, or leave the option away on a Debian machine with debootstrap, as root")
}

// pull fetches a public image; fix says what to do when it cannot be had.
func (b *Builder) pull(ctx context.Context, ref, fix string) error {
	b.say("pulling the image %s", ref)
	res, err := b.engine.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err == nil {
		err = res.Wait(ctx)
	}
	if err != nil {
		return &docker.Error{What: "pull the image " + ref, Why: "the registry did not give it", Err: err, Fix: fix}
	}
	return nil
}

// public makes sure of a public image that is used as it is.
func (b *Builder) public(ctx context.Context, ref, fix string) (string, error) {
	have, err := b.exists(ctx, ref)
	if err != nil || have {
		return ref, err
	}
	return ref, b.pull(ctx, ref, "name another image, or "+fix)
}

// HaveBase tells whether a base image is there already, on the engine or in the cache.
func (b *Builder) HaveBase(ctx context.Context) bool {
	ref, own, err := b.baseRef(ctx)
	if err != nil {
		return false
	}
	if have, err := b.exists(ctx, ref); err == nil && have {
		return true
	}
	_, err = os.Stat(b.savedBase(ref))
	return own && err == nil
}

// savedBase is where the cache keeps a base image.
func (b *Builder) savedBase(ref string) string {
	return filepath.Join(b.cache, "base", strings.ReplaceAll(ref, ":", "-")+".tar")
}

// CanDebootstrap says why no base can be built on this machine; nil means that it can.
func CanDebootstrap() error {
	fail := func(why, fix string) error {
		return &docker.Error{What: "no Debian base image for Kafka and ZooKeeper", Why: why, Fix: fix}
	}
	pull := "name a public Debian 12 image to build on (--base-image " + PublicBase + ") where a registry can be reached"
	if runtime.GOOS != "linux" {
		return fail("debootstrap runs on Linux only", pull)
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return fail("debootstrap is not installed", pull+", or: sudo apt-get install debootstrap")
	}
	if os.Geteuid() != 0 {
		return fail("debootstrap needs root", pull+", or run as root")
	}
	return nil
}

func (b *Builder) bootstrapBase(ctx context.Context, ref string) error {
	saved := b.savedBase(ref)
	if _, err := os.Stat(saved); err != nil {
		if err := CanDebootstrap(); err != nil {
			return err
		}
		b.say("building the Debian base image with debootstrap (once, about half a minute)")
		if err := b.debootstrap(ctx, saved); err != nil {
			return err
		}
	}
	in, err := os.Open(saved)
	if err != nil {
		return docker.Explain("read the saved base image", err)
	}
	defer in.Close()
	res, err := b.engine.ImageImport(ctx, client.ImageImportSource{Source: in, SourceName: "-"}, ref,
		client.ImageImportOptions{Changes: []string{"LABEL " + Label + "=base", "CMD [\"bash\"]"}})
	if err != nil {
		return docker.Explain("import the base image", err)
	}
	defer res.Close()
	return docker.Explain("import the base image", readMessages(res))
}

// debootstrap builds a minimal Debian root as a tar at path, which appears only when it is complete.
func (b *Builder) debootstrap(ctx context.Context, path string) (err error) {
	mirrors, err := b.mirrors(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return docker.Explain("make the cache folder", err)
	}
	dir, err := os.MkdirTemp(b.cache, "debootstrap-")
	if err != nil {
		return docker.Explain("make a folder for the base image", err)
	}
	defer func() {
		// A Debian root holds files that only root may remove; it was root who made them.
		if rmErr := removeTree(context.WithoutCancel(ctx), dir); rmErr != nil && err == nil {
			err = docker.Explain("remove the temporary base "+dir, rmErr)
		}
	}()
	root := filepath.Join(dir, "root")
	if err := run(ctx, nil, "debootstrap", "--variant=minbase", suite, root, mirrors[0].url); err != nil {
		return &docker.Error{What: "build the Debian base image", Why: "debootstrap failed on " + mirrors[0].url, Err: err,
			Fix: "check that the mirror can be reached and holds " + suite + ", or name a public image to build on (--base-image " + PublicBase + ")"}
	}
	if err := finishRoot(root, mirrors); err != nil {
		return docker.Explain("set up the Debian base image", err)
	}
	tmp := filepath.Join(dir, "base.tar")
	if err := run(ctx, nil, "tar", "-C", root, "--numeric-owner", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", "-cf", tmp, "."); err != nil {
		return docker.Explain("pack the Debian base image", err)
	}
	return docker.Explain("save the Debian base image", os.Rename(tmp, path))
}

// finishRoot drops package caches and gives the root the machine's own package sources, so that later layers come from
// the same place. No service is started while packages are installed.
func finishRoot(root string, mirrors []mirror) error {
	for _, glob := range []string{"var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "var/log/*.log", "etc/apt/sources.list.d/*"} {
		names, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := os.RemoveAll(n); err != nil {
				return err
			}
		}
	}
	var list strings.Builder
	for _, m := range mirrors {
		fmt.Fprintf(&list, "deb %s %s main\n", m.url, m.suite)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/apt/sources.list"), []byte(list.String()), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "etc/apt/apt.conf.d/90ratel"), []byte("Acquire::Check-Valid-Until \"false\";\n"), 0o644)
}

type mirror struct{ url, suite string }

// mirrors asks apt where this machine gets Debian from: the release first, then its updates and security fixes.
func (b *Builder) mirrors(ctx context.Context) ([]mirror, error) {
	if b.opt.Mirror != "" {
		if u, err := url.Parse(b.opt.Mirror); err != nil || u.Scheme == "" {
			return nil, &docker.Error{What: "bad Debian mirror", Why: fmt.Sprintf("%q is not a URL", b.opt.Mirror), Fix: "give it as scheme://host/path"}
		}
		return []mirror{{b.opt.Mirror, suite}, {b.opt.Mirror, suite + "-updates"}}, nil
	}
	var out bytes.Buffer
	if err := run(ctx, &out, "apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"); err != nil {
		return nil, &docker.Error{What: "find a Debian mirror", Why: "apt does not say where this machine gets its packages", Err: err,
			Fix: "name one (--debian-mirror URL), or a public image to build on (--base-image " + PublicBase + ")"}
	}
	found := parseTargets(out.String())
	if len(found) == 0 {
		return nil, &docker.Error{What: "find a Debian mirror", Why: "apt on this machine knows no Debian mirror (run apt-get update if it was never run)",
			Fix: "name one (--debian-mirror URL), or a public image to build on (--base-image " + PublicBase + ")"}
	}
	return found, nil
}

// parseTargets picks Debian's main component out of apt's list. On a machine of another release the mirror of that
// release serves, since Debian's mirrors hold them all; its updates and security suites are then left out.
func parseTargets(list string) []mirror {
	var main, extra, other []mirror
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 4 || f[0] != "Debian" || f[2] != "main" {
			continue
		}
		m := mirror{f[3], f[1]}
		switch {
		case m.suite == suite:
			main = append(main, m)
		case strings.HasPrefix(m.suite, suite+"-"):
			extra = append(extra, m)
		case !strings.Contains(m.suite, "-"):
			other = append(other, mirror{m.url, suite})
		}
	}
	all := append(append(main, other...), extra...)
	if len(main) == 0 && len(other) == 0 {
		return nil
	}
	seen := map[mirror]bool{}
	return slices.DeleteFunc(all, func(m mirror) bool {
		dup := seen[m]
		seen[m] = true
		return dup
	})
}

// run executes a program; its error carries the last lines that it printed.
func run(ctx context.Context, stdout *bytes.Buffer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	cmd.Stdout = &talk
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lines := strings.Split(strings.TrimSpace(talk.String()), "\n")
		lines = lines[max(0, len(lines)-10):]
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: %w\n    %s", name, err, strings.Join(lines, "\n    "))
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
