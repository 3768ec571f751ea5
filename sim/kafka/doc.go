// Package kafka models a Kafka cluster with real replication, and clients of it that behave as Sarama does.
//
// What is modelled follows Apache Kafka 3.9 with ZooKeeper: leaders and followers that fetch, in-sync replicas that
// shrink by replica.lag.time.max and expand when caught up, leader epochs and truncation by them (KIP-101, KIP-279), a
// high watermark that followers learn one fetch later, acks 0, 1 and all with min.insync.replicas, a controller elected
// through ZooKeeper, ISR changes through the controller (KIP-497), preferred leaders, controlled shutdown. Servers are
// event-driven: every request is a callback on the scheduler. Only the controller and the registration in ZooKeeper,
// which are rare, are tasks.
//
// Not modelled: transactions and idempotent producers, consumer groups, compaction, quotas, KRaft.
package kafka
