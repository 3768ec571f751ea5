package images

import (
	"context"
)

// What a MySQL node of the built image has from the start.
const (
	MySQLDatabase = "ratel"
	MySQLUser     = "ratel"
	MySQLPassword = "ratel"
	// MySQLData is the data directory, inside the node's volume.
	MySQLData = "/data/mysql"
)

// MySQL makes sure of the image that runs the metadata database and returns its reference. A public image that
// Options.MySQL names is used instead, and pulled when it is not on the engine.
func (b *Builder) MySQL(ctx context.Context) (string, error) {
	if b.opt.MySQL != "" {
		return b.public(ctx, b.opt.MySQL, "leave the option away: MySQL is then installed from Debian's packages")
	}
	ref, have, err := b.HaveMySQL(ctx)
	if err != nil || have {
		return ref, err
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if ref, have, err = b.HaveMySQL(ctx); err != nil || have {
		return ref, err
	}
	base, err := b.Base(ctx)
	if err != nil {
		return "", err
	}
	b.say("building the MySQL image from Debian unstable (once, about half a minute)")
	return ref, b.build(ctx, "mysql", ref, asset("mysql.Dockerfile"), map[string]string{"BASE": base}, []file{
		{name: "mysql-entry.sh", data: asset("mysql-entry.sh"), mode: 0o755},
		{name: "mysql-init.sql", data: asset("mysql-init.sql"), mode: 0o644},
	})
}

// HaveMySQL names the image that MySQL returns and tells whether it is there already.
func (b *Builder) HaveMySQL(ctx context.Context) (ref string, have bool, err error) {
	if b.opt.MySQL != "" {
		have, err = b.exists(ctx, b.opt.MySQL)
		return b.opt.MySQL, have, err
	}
	base, _, err := b.baseRef(ctx)
	if err != nil {
		return "", false, err
	}
	ref = "ratel-mysql:" + fingerprint([]byte(base), asset("mysql.Dockerfile"), asset("mysql-entry.sh"), asset("mysql-init.sql"))
	have, err = b.exists(ctx, ref)
	return ref, have, err
}
