// Package catalog is what roles know of the metadata store: teams by key, datasets by name, and the columns that datasets
// have been seen to have. It caches what is there and what is not, bounded and for a bounded time, goes on with what it
// knows while the store is away, and finds out when what it knows has become wrong.
package catalog
