package containers

import (
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/kafka"
	"github.com/ratel-sim/ratel/system/s3"
)

// CatalogDSN names the catalog's database as the host reaches it, without the proxy, for clients of a caller's own.
func (w *World) CatalogDSN() string { return dsn(w.of(system.RoleMySQL)[0].host()) }

// BlobOptions say where the object store is as the host reaches it, without the proxy, for clients of a caller's own.
func (w *World) BlobOptions() s3.Options {
	return s3.Options{Endpoint: w.of(system.RoleS3)[0].url(), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey}
}

// KafkaOptions say where the brokers are as the host reaches them, for clients of a caller's own.
func (w *World) KafkaOptions() kafka.Options {
	var o kafka.Options
	for _, n := range w.of(system.RoleKafka) {
		o.Seeds = append(o.Seeds, n.host())
	}
	return o
}
