// Package s3 models an object store with S3's semantics together with its client behind the Blobs port.
//
// The server holds one bucket: reads and lists are strongly consistent, a put is atomic together with its condition, an
// upload in parts is invisible until it is completed. What it has answered is durable. Each request waits in one queue for
// the processor and then for the disk.
//
// The client is the AWS SDK's as Ratel's real port sets it up: a bounded pool of connections, a timeout for each attempt,
// three attempts with jitter. Throttles and connections that were refused are tried again, and so is what only reads;
// a write that may have been executed is not, because its repetition could fail its own condition and call that certain.
package s3
