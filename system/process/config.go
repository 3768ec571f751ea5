// Package process runs one role of the pipeline as an operating system process of its own: it wires the role to the real
// servers and the local disk, and serves its HTTP interface.
package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// Config is what a role's process needs to know. Planted bugs are not part of it, by design: see system/planted.
type Config struct {
	Node string      `json:"node"` // its name in the topology, such as "retriever3"
	Role system.Role `json:"role"` // shepherd or retriever
	// Listen is the address of its HTTP server, such as ":8080".
	Listen string `json:"listen"`
	// Kafka and ZooKeeper are the servers' addresses, host:port.
	Kafka     []string `json:"kafka"`
	ZooKeeper []string `json:"zookeeper"`
	// Partitions is how many partitions the events topic has; Partition is the one that a retriever reads.
	Partitions int32 `json:"partitions"`
	Partition  int32 `json:"partition"`
	// Data is the folder of its local disk.
	Data string `json:"data"`
	// Shepherd or Retriever is used, by Role.
	Shepherd  shepherd.Config  `json:"shepherd"`
	Retriever retriever.Config `json:"retriever"`
}

// Name is the node's name.
func (c Config) Name() string { return c.Node }

// Load reads a Config from a file and checks it. What the file does not say of a role's own configuration is as its
// default.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the role's configuration: %w", err)
	}
	c := Config{Shepherd: shepherd.DefaultConfig(), Retriever: retriever.DefaultConfig()}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: not a role's configuration: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: there is more after the role's configuration", path)
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Check says everything that is wrong with c.
func (c Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	addresses := func(what string, list []string) {
		if len(list) == 0 {
			bad("%s: no address, expected the host:port of every server", what)
		}
		for _, a := range list {
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("%s: %q, expected host:port", what, a)
			}
		}
	}
	if c.Node == "" {
		bad("node: missing, expected the node's name")
	}
	if c.Role != system.RoleShepherd && c.Role != system.RoleRetriever {
		bad("role: %q, expected %q or %q", c.Role, system.RoleShepherd, system.RoleRetriever)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen: %q, expected an address such as \":8080\"", c.Listen)
	}
	addresses("kafka", c.Kafka)
	addresses("zookeeper", c.ZooKeeper)
	if c.Partitions < 1 {
		bad("partitions: %d, expected 1 or more", c.Partitions)
	}
	if c.Role == system.RoleRetriever {
		if c.Partition < 0 || c.Partition >= c.Partitions {
			bad("partition: %d, expected 0 to %d", c.Partition, c.Partitions-1)
		}
		if c.Data == "" {
			bad("data: missing, expected a folder to keep events in")
		}
	}
	return errors.Join(errs...)
}
