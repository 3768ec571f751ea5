package containers

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/faultproxy"
	"github.com/ratel-sim/ratel/system/containers/images"
	"github.com/ratel-sim/ratel/system/mysql"
	"github.com/ratel-sim/ratel/system/process"
	"github.com/ratel-sim/ratel/system/s3"
)

// The object store's bucket and key: everything is on this machine's loopback interface and the run's own network.
const (
	bucket      = "ratel"
	s3AccessKey = "ratel"
	s3SecretKey = "ratel-secret"
)

// proxyOf makes the node of the proxy in front of a server. It is no node of the topology: roles connect to it, the
// harness connects to the server itself.
func proxyOf(server *node) *node {
	return &node{Node: system.Node{Name: server.Name + "-proxy", Role: process.RoleProxy, Partition: -1, Replica: -1}, port: proxyControl}
}

// proxyConfig is how the proxy in front of a server is set up.
func (w *World) proxyConfig(n *node) faultproxy.Config {
	server := w.nodes[strings.TrimSuffix(n.Name, "-proxy")]
	kind := faultproxy.KindS3
	if server.Role == system.RoleMySQL {
		kind = faultproxy.KindMySQL
	}
	return faultproxy.Config{Kind: kind, Listen: fmt.Sprintf(":%d", server.port), Target: server.inside(), Control: fmt.Sprintf(":%d", proxyControl), Seed: seed(w.run)}
}

// throughProxy is a server's address as roles use it.
func throughProxy(server *node) string { return fmt.Sprintf("%s:%d", server.front.Name, server.port) }

// dsn names the catalog's database at an address, in the driver's words.
func dsn(address string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", images.MySQLUser, images.MySQLPassword, address, images.MySQLDatabase)
}

// mysqlEnv is for public images, whose entry point makes what the built image has from the start.
func mysqlEnv() map[string]string {
	return map[string]string{"MYSQL_ROOT_PASSWORD": images.MySQLPassword, "MYSQL_DATABASE": images.MySQLDatabase, "MYSQL_USER": images.MySQLUser, "MYSQL_PASSWORD": images.MySQLPassword}
}

// mysqlCommand starts a small server: it commits durably (the default), and keeps no log for replicas that do not exist.
func mysqlCommand() []string {
	return []string{
		"mysqld", "--datadir=" + images.MySQLData, "--bind-address=0.0.0.0", "--skip-name-resolve", "--secure-file-priv=",
		"--innodb-buffer-pool-size=64M", "--innodb-redo-log-capacity=32M", "--innodb-numa-interleave=OFF", "--innodb-lock-wait-timeout=5",
		"--performance-schema=OFF", "--mysqlx=OFF", "--disable-log-bin",
		// One address, that of the proxy, is behind all connections, also behind those that it cuts.
		"--max-connect-errors=1000000000",
	}
}

func s3Env() map[string]string {
	return map[string]string{"MINIO_ROOT_USER": s3AccessKey, "MINIO_ROOT_PASSWORD": s3SecretKey, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "MINIO_SCANNER_SPEED": "slowest"}
}

// prepareMySQL waits for the database and runs the migrations, before any role starts: a role refuses a schema that lacks
// one. Then it creates the topology's teams.
func (w *World) prepareMySQL(ctx context.Context, n *node) error {
	if err := w.awaitAnswer(ctx, n); err != nil {
		return err
	}
	if err := mysql.Migrate(ctx, dsn(n.host())); err != nil {
		return fmt.Errorf("migrate the catalog: %w", err)
	}
	catalog, err := mysql.New(w.wall, mysql.Options{DSN: dsn(n.host())})
	if err != nil {
		return fmt.Errorf("make the harness's catalog client: %w", err)
	}
	w.clients.catalog = catalog
	for _, t := range w.topology.Teams {
		if _, err := catalog.CreateTeam(ctx, t.NewTeam()); err != nil {
			return fmt.Errorf("create team %s: %w", t.Name, err)
		}
	}
	return nil
}

// prepareS3 waits for the object store and makes the bucket.
func (w *World) prepareS3(ctx context.Context, n *node) error {
	if err := w.awaitAnswer(ctx, n); err != nil {
		return err
	}
	blobs, err := s3.New(s3.Options{Endpoint: "http://" + n.host(), Bucket: bucket, AccessKey: s3AccessKey, SecretKey: s3SecretKey})
	if err != nil {
		return fmt.Errorf("make the harness's S3 client: %w", err)
	}
	w.clients.blobs = blobs
	return w.await(ctx, n, "the bucket to be made", func(ctx context.Context) (string, bool) {
		err := blobs.EnsureBucket(ctx)
		return fmt.Sprint(err), err == nil
	})
}

// probeMySQL connects and pings.
func probeMySQL(ctx context.Context, addr string) (system.Reach, string) {
	began := time.Now()
	cfg, err := sqldriver.ParseDSN(dsn(addr))
	if err != nil {
		return system.Refuses, err.Error()
	}
	cfg.Logger = &sqldriver.NopLogger{} // a server that is starting closes connections
	connector, err := sqldriver.NewConnector(cfg)
	if err != nil {
		return system.Refuses, err.Error()
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxIdleConns(0)
	if err := db.PingContext(ctx); err != nil {
		var told *sqldriver.MySQLError
		switch {
		case ctx.Err() != nil:
			return system.Silent, err.Error()
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, sqldriver.ErrInvalidConn):
			return system.Refuses, err.Error() // accepted by the engine's proxy, and closed
		case errors.As(err, &told):
			return system.Silent, err.Error() // it runs, but does not serve
		}
		return reachOf(err), err.Error()
	}
	return system.Answers, fmt.Sprintf("a ping took %v", time.Since(began).Round(time.Millisecond))
}

// probeS3 asks MinIO whether it can read and write.
func probeS3(ctx context.Context, addr string) (system.Reach, string) {
	return probeHTTP(ctx, addr, "/minio/health/cluster")
}

// probeProxy asks a proxy's control interface.
func probeProxy(ctx context.Context, addr string) (system.Reach, string) {
	transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
	defer transport.CloseIdleConnections()
	if err := faultproxy.NewClient("http://"+addr, transport).Healthy(ctx); err != nil {
		return reachOf(err), err.Error()
	}
	return system.Answers, "it runs"
}
