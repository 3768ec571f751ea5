// Package docker connects to the machine's Docker engine and says in plain words what is wrong when that fails: no
// engine, no permission, an engine that is too old, a full disk, a port in use.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// MinAPI is the oldest engine API that Ratel is tested with: that of Docker Engine 20.10, which Debian 12 ships.
const MinAPI = "1.41"

// Engine is an answering Docker engine.
type Engine struct {
	*client.Client
	// API is the newest API version that the engine speaks, such as "1.41".
	API string
	// OS and Arch are of the machine that containers run on, in Go's names ("linux", "amd64").
	OS, Arch string
	// Server is the engine's own version.
	Server string
}

// Error is a failure of the containers world's surroundings, told so that its reader knows what to do.
type Error struct {
	What string // what could not be done
	Why  string // what stands in the way
	Fix  string // what to do about it
	Err  error  // the cause; may be nil
}

// Error implements error: what, why and what to do, in one line each.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.What)
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	if e.Fix != "" {
		b.WriteString("\n  to mend it: " + e.Fix)
	}
	if e.Err != nil {
		b.WriteString("\n  cause: " + strings.TrimSpace(e.Err.Error()))
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// patience is how long an engine may take to say that it is there and works.
const patience = 20 * time.Second

// restart is what to do about an engine that does not answer.
const restart = "restart it (sudo systemctl restart docker, or sudo .ci/engine.sh from Ratel's source), or look into its log"

// Connect finds the engine by the usual environment (DOCKER_HOST and its kin, else the local socket) and checks that it
// answers, does not hang and is recent enough. Every error is an [*Error].
func Connect(ctx context.Context) (*Engine, error) {
	cli, err := client.New(client.FromEnv)
	if err != nil {
		return nil, &Error{What: "cannot use the Docker settings of this environment", Err: err,
			Fix: "check DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION, or unset them"}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ping, err := cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		_ = cli.Close()
		// The client refuses by itself what it does not know any more, and says only that.
		if m := unsupported.FindStringSubmatch(err.Error()); m != nil {
			return nil, tooOld(m[1])
		}
		return nil, explainPing(cli.DaemonHost(), err)
	}
	if older(ping.APIVersion, MinAPI) {
		_ = cli.Close()
		return nil, tooOld(ping.APIVersion)
	}
	ver, err := cli.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		_ = cli.Close()
		return nil, explainPing(cli.DaemonHost(), err)
	}
	if ver.Os != "linux" {
		_ = cli.Close()
		return nil, &Error{What: "the Docker engine does not run Linux containers", Why: "it runs " + orUnknown(ver.Os) + " containers",
			Fix: "switch it to Linux containers"}
	}
	// One that has locked up still answers as far as here.
	if _, err := cli.NetworkList(ctx, client.NetworkListOptions{}); errors.Is(err, context.DeadlineExceeded) {
		_ = cli.Close()
		return nil, &Error{What: "the Docker engine hangs", Why: fmt.Sprintf("it answers, but has not listed its networks within %v", patience), Fix: restart}
	}
	return &Engine{Client: cli, API: ping.APIVersion, OS: ver.Os, Arch: ver.Arch, Server: ver.Version}, nil
}

var unsupported = regexp.MustCompile(`API version (\S+) is not supported by this client: the minimum`)

func tooOld(api string) error {
	return &Error{What: "the Docker engine is too old",
		Why: fmt.Sprintf("it speaks API %s, Ratel needs %s (Docker Engine 20.10) or newer", orUnknown(api), MinAPI),
		Fix: "upgrade the engine (Debian: apt-get install docker.io)"}
}

func explainPing(host string, err error) error {
	e := &Error{Err: err}
	path, isSocket := strings.CutPrefix(host, "unix://")
	switch {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		e.What = "no permission to use the Docker engine"
		e.Why = fmt.Sprintf("user %d may not open %s", os.Getuid(), path)
		e.Fix = "add the user to the socket's group (sudo usermod -aG docker USER, then log in again), or run as root"
	case errors.Is(err, context.DeadlineExceeded):
		e.What = "the Docker engine does not answer"
		e.Why = fmt.Sprintf("no answer from %s within %v", host, patience)
		e.Fix = restart
	case isSocket && notThere(path):
		e.What = "no Docker engine runs here"
		e.Why = "there is no " + path
		e.Fix = "start one: sudo .ci/engine.sh from Ratel's source, or sudo apt-get install docker.io; the simulated world (--world sim) needs none"
	case isSocket:
		e.What = "no Docker engine runs here"
		e.Why = "nobody answers on " + path
		e.Fix = "start it: sudo systemctl start docker, or sudo .ci/engine.sh from Ratel's source; the simulated world (--world sim) needs none"
	default:
		e.What = "cannot reach the Docker engine"
		e.Why = "no answer from " + host
		e.Fix = "check DOCKER_HOST, or unset it to use an engine on this machine"
	}
	return e
}

func notThere(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown version"
	}
	return s
}

// older compares dotted API versions; an unreadable one counts as old.
func older(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i := range w {
		if i >= len(h) {
			return true
		}
		a, errA := strconv.Atoi(h[i])
		b, errB := strconv.Atoi(w[i])
		if errA != nil || errB != nil {
			return true
		}
		if a != b {
			return a < b
		}
	}
	return false
}

// Explain adds to an error of an engine operation what a person can do about it, where the engine's words are known.
// what says what was being done ("start node kafka1"). It returns nil for nil.
func Explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %w", what, err)
	}
	msg := err.Error()
	e := &Error{What: what, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(msg, "no space left on device"):
		e.Why = "the disk that holds Docker's data (or the cache) is full"
		e.Fix = "free some space (docker system df; docker image prune), then run again; nothing of this run is kept in Docker"
	case PortInUse(err):
		e.Why = "a port on this machine that the node needs is in use by another program"
		e.Fix = "see who has it (ss -ltnp), or run again: each run picks free ports"
	case strings.Contains(msg, "could not find an available") && strings.Contains(msg, "address pool"),
		strings.Contains(msg, "all predefined address pools have been fully subnetted"):
		e.Why = "Docker has no free subnet for another network"
		e.Fix = "remove unused networks: docker network prune"
	case strings.Contains(msg, "No such image"):
		e.Why = "the image is gone"
		e.Fix = "run again: it is built anew"
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	return e
}

// PortInUse tells whether the engine could not publish a port because another program listens on it.
func PortInUse(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "port is already allocated"))
}
