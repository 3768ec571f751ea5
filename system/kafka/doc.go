// Package kafka is the Log port over real Kafka, through Sarama.
//
// Sarama's traps are met here, once: successes and errors are always read, batches wait for all replicas unless asked
// otherwise, topics are never created by accident, the partition is the caller's choice, every network operation has a
// timeout, and a producer is not closed while batches are being retried (that would fail them). Outcomes are judged
// conservatively: an error is a refusal only if the record certainly is not in the log and never will be.
package kafka
