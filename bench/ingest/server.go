package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/process"
)

const (
	nameShepherd  = "shepherd"
	nameCollector = "Collector"
	// ticks are the units of CPU time in /proc, in a second.
	ticks = 100
)

// server is a process under test.
type server struct {
	name  string
	topic string
	// records is how many Kafka records a request makes at least.
	records int64
	// Addresses by what is spoken there; empty for what it does not speak. key is the team's API key.
	grpc, http, batch, key string
	cmd                    *exec.Cmd
	log                    string // its output
}

// start starts the shepherd and the Collector on this machine, with what a world offers them, and waits until both listen.
func start(ctx context.Context, o options, s *containers.Standing, dir string) ([]*server, error) {
	at, err := free(ctx)
	if err != nil {
		return nil, err
	}
	addresses := func(r system.Role) (list []string) {
		for _, n := range s.Of(r) {
			list = append(list, n.Address)
		}
		return list
	}
	cfg := process.Config{
		Node: "shepherd1", Role: system.RoleShepherd, Listen: at[0], GRPCListen: at[1], Partitions: s.Topology.Kafka.Partitions,
		Kafka: addresses(system.RoleKafka), ZooKeeper: addresses(system.RoleZooKeeper), MySQL: s.MySQL,
		S3:       process.S3{Endpoint: s.Of(system.RoleS3)[0].URL, Bucket: s.Bucket, AccessKey: s.AccessKey, SecretKey: s.SecretKey},
		Shepherd: s.Topology.Shepherd, Retriever: s.Topology.Retriever, Query: s.Topology.Query, Beagle: s.Topology.Beagle, Trigger: s.Topology.Trigger,
	}
	cfg.Shepherd.Linger = o.linger
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	role := filepath.Join(dir, "shepherd.json")
	settings := filepath.Join(dir, "collector.yaml")
	if err := errors.Join(os.WriteFile(role, text, 0o600), os.WriteFile(settings, []byte(collectorSettings(at[2], at[3], cfg.Kafka, o.linger)), 0o600)); err != nil {
		return nil, err
	}
	servers := []*server{
		{name: nameCollector, topic: collectorTopic, records: 1, grpc: at[2], http: at[3], cmd: exec.CommandContext(ctx, o.collector, "--config", settings)},
		{name: nameShepherd, topic: system.EventsTopic, records: int64((perRequest + cfg.Shepherd.ChunkEvents - 1) / cfg.Shepherd.ChunkEvents), grpc: at[1], http: at[0], batch: at[0], key: s.Teams[0].Key,
			cmd: exec.CommandContext(ctx, o.ratel, "role", "--config", role)},
	}
	for i, one := range servers {
		one.log = filepath.Join(dir, one.name+".log")
		out, err := os.Create(one.log)
		if err != nil {
			return servers[:i], err
		}
		defer func() { _ = out.Close() }() // the process has its own
		one.cmd.Stdout, one.cmd.Stderr = out, out
		if err := one.cmd.Start(); err != nil {
			return servers[:i], fmt.Errorf("start the %s: %w", one.name, err)
		}
		if err := one.ready(ctx); err != nil {
			return servers[:i+1], err
		}
	}
	return servers, nil
}

// free finds addresses that nobody listens at.
func free(ctx context.Context) (at [4]string, err error) {
	for i := range at {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return at, err
		}
		at[i] = l.Addr().String()
		defer func() { _ = l.Close() }() // when all are found, so that all differ
	}
	return at, nil
}

// collectorSettings has the Collector answer when Kafka has: no queue, and every in-sync replica.
func collectorSettings(grpc, http string, brokers []string, linger time.Duration) string {
	return fmt.Sprintf(`receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q}
      http: {endpoint: %q}
exporters:
  kafka:
    brokers: [%s]
    traces: {topic: %s, encoding: otlp_proto}
    producer: {required_acks: -1, compression: none, linger: %s}
    sending_queue: {enabled: false}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines:
    traces: {receivers: [otlp], exporters: [kafka]}
`, grpc, http, strings.Join(brokers, ", "), collectorTopic, linger)
}

// ready waits until a server takes connections.
func (s *server) ready(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		up := true
		for _, a := range []string{s.grpc, s.http} {
			c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", a)
			if up = up && err == nil; err == nil {
				_ = c.Close()
			}
		}
		if up {
			return nil
		}
		if err := s.cmd.Process.Signal(syscall.Signal(0)); err != nil {
			break
		}
	}
	text, _ := os.ReadFile(s.log)
	return fmt.Errorf("the %s does not listen; its output:\n%s", s.name, text)
}

// cpu is the CPU time that the process has had, in seconds.
func (s *server) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the %s has ended: %w", s.name, err)
	}
	return cpuOf(string(text))
}

// cpuOf reads user and system time from a line of /proc/PID/stat. The name in it, in parentheses, may hold anything.
func cpuOf(stat string) (float64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("no line of /proc: %q", stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	sys, err2 := strconv.ParseInt(fields[12], 10, 64)
	return float64(user+sys) / ticks, errors.Join(err1, err2)
}

// peak is the most memory that the process has had, in bytes; 0 if that cannot be read.
func (s *server) peak() int64 {
	if s.cmd == nil || s.cmd.Process == nil {
		return 0
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

func (s *server) end() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}
