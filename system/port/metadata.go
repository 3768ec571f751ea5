package port

// Metadata is the whole of the metadata store.
type Metadata interface {
	Catalog
	Definitions
	Counts
	Evaluations
}
