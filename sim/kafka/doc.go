// Package kafka models a Kafka cluster with real replication, and clients of it that behave as Sarama does.
//
// What is modelled follows Apache Kafka 3.9 with ZooKeeper: leaders and followers that fetch, in-sync replicas that
// shrink by replica.lag.time.max and expand when caught up, leader epochs and truncation by them (KIP-101, KIP-279), a
// high watermark that followers learn one fetch later, acks 0, 1 and all with min.insync.replicas, idempotent producers
// (KIP-98, KIP-360: IDs, epochs and sequence numbers, of which every replica knows by its log), a controller elected
// through ZooKeeper, ISR changes through the controller (KIP-497), preferred leaders, controlled shutdown. Consumer groups
// are Kafka's classic ones: coordinators whose groups and offsets lie in the log of __consumer_offsets and move with its
// leaders, member IDs given by them (KIP-394), static members (KIP-345). Servers are event-driven: every request is a
// callback on the scheduler. Only the controller and the registration in ZooKeeper, which are rare, are tasks.
//
// Not modelled: transactions, the expiry of producer IDs (after a day) and that brokers take blocks of them from ZooKeeper, compaction, the expiry of groups and offsets (after a week, or of
// a group that is empty and has no offsets within ten minutes), the new group protocol (KIP-848), quotas, KRaft.
package kafka
