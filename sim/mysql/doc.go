// Package mysql models a MySQL server that holds the catalog, definitions, SLO counts and evaluations, together with its
// client behind port.Metadata.
//
// The server knows the catalog's operations and not SQL. An operation that writes is a transaction in two steps, as the
// real client sends it: the work, which takes the locks of the rows that it is about, and the commit. A lock is held until
// the commit is durable or the connection ends, and those who wait for it fail after the lock wait timeout. Commits become
// durable by fsync, those that arrive meanwhile together. Reads see what is committed and take no locks.
//
// The client is database/sql with go-sql-driver as Ratel's real port sets it up: a bounded pool, timeouts for dialling and
// for each answer. A failure before the commit was sent is certain; one after it is not, and nothing is repeated blindly.
// Only deadlocks and lock wait timeouts are tried again, a bounded number of times.
package mysql
