package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/images"
	"github.com/ratel-sim/ratel/system/containers/reaper"
)

// Finding is one thing that the containers world needs, and whether this machine has it.
type Finding struct {
	Name   string
	OK     bool
	Fatal  bool // when not OK: the world does not work without it
	Detail string
	Fix    string // the command or step that mends it; empty if there is nothing to mend
}

// state is how a finding bears on the containers world.
type state int

const (
	good    state = iota
	note          // it works, with a difference worth knowing
	missing       // the world does not work without it
)

func finding(name string, st state, detail, fix string) Finding {
	return Finding{Name: name, OK: st == good, Fatal: st == missing, Detail: detail, Fix: fix}
}

// needDisk is what images, jars, MinIO's binary and a run take, with room: about 2 GiB and what the load writes.
const needDisk = 5 << 30

// needMemory is what the default topology takes: three brokers of 155 MiB, three ZooKeeper nodes of 60 MiB, MySQL with
// 240 MiB, MinIO with 100, and fifteen roles.
const needMemory = 3 << 30

// Doctor says what this machine has and lacks for the containers world. It changes nothing.
func Doctor(ctx context.Context) []Finding { return doctor(ctx, Options{}) }

func doctor(ctx context.Context, opt Options) []Finding {
	var found []Finding
	add := func(name string, st state, detail, fix string) {
		found = append(found, finding(name, st, detail, fix))
	}
	cache, err := images.CacheDir(opt.CacheDir)
	if err != nil {
		found = append(found, lacking("cache folder", err))
	} else {
		checkDisk(add, "disk space for the cache", cache)
	}
	engine, err := docker.Connect(ctx)
	if err != nil {
		return append(found, lacking("Docker engine", err))
	}
	defer func() { _ = engine.Close() }()
	add("Docker engine", good, fmt.Sprintf("version %s, API %s, %s/%s", engine.Server, engine.API, engine.OS, engine.Arch), "")
	if info, err := engine.Info(ctx, client.InfoOptions{}); err == nil {
		checkDisk(add, "disk space for Docker", info.Info.DockerRootDir)
		if info.Info.MemTotal < needMemory {
			add("memory", note, fmt.Sprintf("%d MiB; the default topology takes about 2 GiB", info.Info.MemTotal>>20), "use a smaller topology, or give the engine more")
		} else {
			add("memory", good, fmt.Sprintf("%d MiB, %d CPUs", info.Info.MemTotal>>20, info.Info.NCPU), "")
		}
	}
	found = append(found, imageFindings(ctx, engine, opt)...)
	add(filterFinding())
	if cache != "" {
		add(leftoverFinding(ctx, engine, cache))
	}
	return found
}

func lacking(subject string, err error) Finding {
	var e *docker.Error
	if !errors.As(err, &e) {
		return finding(subject, missing, err.Error(), "")
	}
	detail := e.What
	if e.Why != "" {
		detail += ": " + e.Why
	}
	return finding(subject, missing, detail, e.Fix)
}

func checkDisk(add func(subject string, st state, detail, fix string), subject, dir string) {
	free, err := diskFree(dir)
	switch {
	case err != nil:
		add(subject, note, fmt.Sprintf("could not be found out for %s: %v", dir, err), "")
	case free < needDisk:
		add(subject, missing, fmt.Sprintf("%d MiB are free in %s, %d are needed", free>>20, dir, needDisk>>20), "free some: docker system df shows what Docker holds; docker image prune and docker builder prune remove what is unused")
	default:
		add(subject, good, fmt.Sprintf("%d GiB free in %s", free>>30, dir), "")
	}
}

// imageFindings says whether the images are there, and else whether they can be made.
func imageFindings(ctx context.Context, engine *docker.Engine, opt Options) []Finding {
	b, err := images.New(engine, images.Options{Base: opt.Base, MySQL: opt.MySQLImage, S3: opt.S3Image, Mirror: opt.Mirror, RoleBinary: opt.RoleBinary, CacheDir: opt.CacheDir})
	if err != nil {
		return []Finding{lacking("images", err)}
	}
	var found []Finding
	ref, have, err := b.HaveKafka(ctx)
	switch {
	case err != nil:
		found = append(found, lacking("Kafka image", err))
	case have:
		found = append(found, finding("Kafka image", good, ref, ""))
	default:
		f := finding("Kafka image", good, "not built yet; the first run builds it in one or two minutes", "")
		if opt.Base == "" && !b.HaveBase(ctx) {
			if err := images.CanDebootstrap(); err != nil {
				f = lacking("Kafka image", err)
			}
		}
		found = append(found, f)
		if _, err := exec.LookPath("mvn"); err != nil {
			found = append(found, finding("Maven", note, "not installed; the first run fetches Kafka's jars with Maven inside a container, which takes a minute longer", "sudo apt-get install maven"))
		} else {
			found = append(found, finding("Maven", good, "installed", ""))
		}
	}
	found = append(found, storageFindings(ctx, b, opt)...)
	how, err := b.RoleSource()
	if err != nil {
		return append(found, lacking("role binary", err))
	}
	return append(found, finding("role binary", good, how, ""))
}

// storageFindings says the same of MySQL and MinIO.
func storageFindings(ctx context.Context, b *images.Builder, opt Options) []Finding {
	var found []Finding
	ref, have, err := b.HaveMySQL(ctx)
	switch {
	case err != nil:
		found = append(found, lacking("MySQL image", err))
	case have:
		found = append(found, finding("MySQL image", good, ref, ""))
	case opt.MySQLImage != "":
		found = append(found, finding("MySQL image", good, "not here yet; the first run pulls "+ref, ""))
	default:
		found = append(found, finding("MySQL image", good, "not built yet; the first run installs it from Debian unstable, in half a minute", ""))
	}
	ref, have, err = b.HaveS3(ctx)
	_, noGo := exec.LookPath("go")
	switch {
	case err != nil:
		found = append(found, lacking("S3 image", err))
	case have:
		found = append(found, finding("S3 image", good, ref, ""))
	case opt.S3Image != "":
		found = append(found, finding("S3 image", good, "not here yet; the first run pulls "+ref, ""))
	case b.HaveMinIO():
		found = append(found, finding("S3 image", good, "not built yet; MinIO's binary is in the cache", ""))
	case noGo != nil:
		found = append(found, finding("S3 image", missing, "MinIO is built from its Go module, and there is no go", "install Go, or name a public image where there is a registry"))
	default:
		found = append(found, finding("S3 image", good, "not built yet; the first run builds MinIO from its Go module, in about three minutes on two cores", ""))
	}
	return found
}

// filterFinding says how nodes are cut off from each other here.
func filterFinding() (subject string, st state, detail, fix string) {
	subject = "packet filter"
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		_, noEnter := exec.LookPath("nsenter")
		_, noLegacy := exec.LookPath("iptables-legacy")
		_, noTables := exec.LookPath("iptables")
		if noEnter == nil && (noLegacy == nil || noTables == nil) {
			return subject, good, "nodes are cut off from this machine, in 20 ms", ""
		}
		return subject, note, "nodes are cut off through a helper container, in half a second", "apt-get install iptables util-linux"
	}
	return subject, note, "nodes are cut off through a helper container, in half a second, since this user may not enter their networks", "run as root for the quicker way"
}

func leftoverFinding(ctx context.Context, engine *docker.Engine, cache string) (subject string, st state, detail, fix string) {
	subject = "leftovers"
	dead, living, err := reaper.Survey(ctx, engine, cache)
	switch {
	case err != nil:
		return subject, note, err.Error(), ""
	case len(dead) > 0:
		return subject, note, "of dead runs: " + strings.Join(dead, ", "), "the next run removes them"
	}
	return subject, good, fmt.Sprintf("none; %d runs are living", len(living)), ""
}
