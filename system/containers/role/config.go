// Package role is how a pipeline role is started as a process of its own: what it is told, and how it is wired to the
// real servers.
package role

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// Config is what a role's process needs to know. It is written by the containers world and read by `ratel role`.
// Planted bugs are not part of it, by design: see system/planted.
type Config struct {
	Role   system.Role `json:"role"`   // shepherd or retriever
	Number int         `json:"number"` // from 1
	// Listen is the address of its HTTP server, such as ":8080".
	Listen string `json:"listen"`
	// Kafka and ZooKeeper are the servers' addresses as host:port.
	Kafka     []string `json:"kafka"`
	ZooKeeper []string `json:"zookeeper"`
	// Data is the folder of its local disk.
	Data string `json:"data"`
	// Partitions is how many partitions the events topic has.
	Partitions int32 `json:"partitions"`
	// Shepherd or Retriever is used, by Role.
	Shepherd  shepherd.Config  `json:"shepherd"`
	Retriever retriever.Config `json:"retriever"`
}

// Name is the node's name in the topology.
func (c Config) Name() string { return system.NodeName(c.Role, c.Number) }

// Partition is the partition that a retriever reads.
func (c Config) Partition() int32 { return int32(c.Number) - 1 }

// Load reads a Config from a file and checks it.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the role's configuration: %w", err)
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, fmt.Errorf("%s: not a role's configuration: %w", path, err)
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
	if c.Role != system.RoleShepherd && c.Role != system.RoleRetriever {
		bad("role: %q is not one of shepherd, retriever", c.Role)
	}
	if c.Number < 1 {
		bad("number: %d, want 1 or more", c.Number)
	}
	if c.Partitions < 1 {
		bad("partitions: %d, want 1 or more", c.Partitions)
	}
	if c.Role == system.RoleRetriever && c.Number > int(c.Partitions) {
		bad("number: there is no partition %d for retriever %d", c.Partition(), c.Number)
	}
	if c.Listen == "" {
		bad("listen: missing")
	}
	if len(c.Kafka) == 0 {
		bad("kafka: no address")
	}
	if len(c.ZooKeeper) == 0 {
		bad("zookeeper: no address")
	}
	if c.Role == system.RoleRetriever && c.Data == "" {
		bad("data: missing; a retriever needs a folder to keep events in")
	}
	return errors.Join(errs...)
}
