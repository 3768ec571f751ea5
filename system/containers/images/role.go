package images

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

// commandPath is the import path of the program that roles are run from, and module its module.
const (
	module      = "github.com/ratel-sim/ratel"
	commandPath = module + "/cmd/ratel"
)

// keepRoleImages is how long an image of an older binary is kept: another run may just be starting from it.
const keepRoleImages = time.Hour

// Role makes sure of the image that runs the pipeline's roles and returns its reference.
func (b *Builder) Role(ctx context.Context) (string, error) {
	path, err := b.roleBinary(ctx)
	if err != nil {
		return "", err
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", docker.Explain("read the ratel binary "+path, err)
	}
	dockerfile := asset("role.Dockerfile")
	ref := "ratel-role:" + fingerprint([]byte(sum), dockerfile)
	have, err := b.exists(ctx, ref)
	if err != nil || have {
		return ref, err
	}
	if err := b.build(ctx, "role", ref, dockerfile, nil, []file{{name: "ratel", path: path, mode: 0o755}}); err != nil {
		return "", err
	}
	b.pruneRoles(ctx, ref)
	return ref, nil
}

// pruneRoles removes images of older binaries, of which development would otherwise gather one per build. It is a
// courtesy: an image in use stays, and a failure does not matter.
func (b *Builder) pruneRoles(ctx context.Context, keep string) {
	list, err := b.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", Label+"=role")})
	if err != nil {
		return
	}
	for _, img := range list.Items {
		if len(img.RepoTags) == 1 && img.RepoTags[0] != keep && time.Since(time.Unix(img.Created, 0)) > keepRoleImages {
			_, _ = b.engine.ImageRemove(ctx, img.RepoTags[0], client.ImageRemoveOptions{PruneChildren: true})
		}
	}
}

// roleBinary finds or builds a static ratel for the engine's machine.
func (b *Builder) roleBinary(ctx context.Context) (string, error) {
	if b.opt.RoleBinary != "" {
		if err := checkBinary(b.opt.RoleBinary, b.engine.Arch); err != nil {
			return "", &docker.Error{What: "cannot run roles from " + b.opt.RoleBinary, Why: err.Error(),
				Fix: "build it with CGO_ENABLED=0 GOOS=linux GOARCH=" + b.engine.Arch + " go build " + commandPath}
		}
		return b.opt.RoleBinary, nil
	}
	self, err := os.Executable()
	if err == nil && isRatel(self) && runtime.GOOS == "linux" && checkBinary(self, b.engine.Arch) == nil {
		return self, nil
	}
	return b.buildBinary(ctx)
}

// RoleSource says, without building anything, what the roles' image would be made from.
func (b *Builder) RoleSource() (string, error) {
	if b.opt.RoleBinary != "" {
		if err := checkBinary(b.opt.RoleBinary, b.engine.Arch); err != nil {
			return "", &docker.Error{What: "cannot run roles from " + b.opt.RoleBinary, Why: err.Error()}
		}
		return b.opt.RoleBinary, nil
	}
	self, err := os.Executable()
	if err == nil && isRatel(self) && checkBinary(self, b.engine.Arch) == nil {
		return "this program", nil
	}
	root, rootErr := sourceRoot()
	_, goErr := exec.LookPath("go")
	if rootErr != nil || goErr != nil {
		return "", &docker.Error{What: "no static ratel binary to run roles from", Why: "this program is not linked statically for " + b.engine.OS + "/" + b.engine.Arch + ", and it cannot be built here",
			Fix: "build ratel with CGO_ENABLED=0, or run it inside Ratel's source tree with go installed"}
	}
	return "built with go from " + root, nil
}

// isRatel tells whether a program is ratel itself, and not a test binary, say.
func isRatel(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Path == commandPath
}

// checkBinary says why a file cannot run in an image that holds nothing else.
func checkBinary(path, arch string) error {
	f, err := elf.Open(path)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it is not a Linux program")
		}
		return err
	}
	defer func() { _ = f.Close() }()
	machines := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_RISCV: "riscv64", elf.EM_S390: "s390x", elf.EM_PPC64: "ppc64le"}
	if got := machines[f.Machine]; got != arch {
		return fmt.Errorf("it is built for %s, the engine runs %s", f.Machine, arch)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically, and the role image holds no libraries")
		}
	}
	return nil
}

// buildBinary builds ratel from the source tree that the working directory is in. Go's own cache makes this quick.
func (b *Builder) buildBinary(ctx context.Context) (string, error) {
	fail := func(why string, err error) error {
		return &docker.Error{What: "no static ratel binary to run roles from", Why: why, Err: err,
			Fix: "build one with CGO_ENABLED=0 GOOS=linux GOARCH=" + b.engine.Arch + " go build " + commandPath + " and run that, or name it (--role-binary FILE)"}
	}
	root, err := sourceRoot()
	if err != nil {
		return "", fail("this program is not one, and "+err.Error(), nil)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", fail("this program is not one, and there is no go to build one with", nil)
	}
	dir := filepath.Join(b.cache, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", docker.Explain("make the cache folder", err)
	}
	b.say("building the roles' binary")
	// Two runs may build at once from different trees: each builds beside and renames.
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", docker.Explain("make a folder to build in", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	out := filepath.Join(tmp, "ratel")
	cmd := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./cmd/ratel")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.engine.Arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fail("go build failed", fmt.Errorf("%w\n%s", err, text))
	}
	sum, err := hashFile(out)
	if err != nil {
		return "", docker.Explain("read the built binary", err)
	}
	final := filepath.Join(dir, "ratel-"+sum[:16])
	if err := os.Rename(out, final); err != nil {
		return "", docker.Explain("save the built binary", err)
	}
	dropOldBinaries(dir, final)
	return final, nil
}

// dropOldBinaries keeps the cache from growing by one binary per build.
func dropOldBinaries(dir, keep string) {
	names, err := filepath.Glob(filepath.Join(dir, "ratel-*"))
	if err != nil {
		return
	}
	for _, n := range names {
		if st, err := os.Stat(n); err == nil && n != keep && time.Since(st.ModTime()) > keepRoleImages {
			_ = os.Remove(n)
		}
	}
}

// sourceRoot finds Ratel's source tree above the working directory.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && isModule(string(data)) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("the working directory is not inside Ratel's source tree")
		}
		dir = up
	}
}

// isModule tells whether a go.mod is Ratel's.
func isModule(gomod string) bool {
	for line := range strings.Lines(gomod) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "module" {
			return f[1] == module
		}
	}
	return false
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
