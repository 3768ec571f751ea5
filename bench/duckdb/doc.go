// Package duckdb holds segments and queries to an independent implementation: DuckDB reads the files that the project writes,
// and both answer the same questions. It is a module of its own, so that the product does not depend on DuckDB, and needs cgo:
//
//	cd bench/duckdb && CGO_ENABLED=1 go test -bench . ./...
package duckdb
