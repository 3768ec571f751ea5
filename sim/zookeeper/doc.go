// Package zookeeper is a deterministic model of a ZooKeeper ensemble and of a client that behaves as go-zookeeper/zk does.
//
// The ensemble speaks ZooKeeper's own atomic broadcast (Zab, as in ZooKeeper 3.8): a leader is elected by fast leader
// election, agrees on a new epoch with a quorum, brings its followers to its own history (difference, truncation or
// snapshot), and from then on proposes each write, which is committed once a quorum has it on disk. Reads are answered
// by whatever server the client is connected to, from what that server has applied, so they may be stale. Sessions are
// expired by the leader through a committed transaction, which removes their ephemeral znodes. Watches are one-shot and
// live at the server that the client is connected to.
//
// What is modelled is protocol and timing, with what is on disk and what dies with a process; bytes on the wire, ACLs,
// quotas, observers, dynamic reconfiguration, containers, TTLs and multi-operation transactions are not.
//
// Files: config.go (ensemble and its nodes), tree.go (znodes, sessions), disk.go (log and snapshot), peer.go (one server
// process), election.go, leader.go and follower.go (Zab), server.go (client connections), watches.go, tracker.go
// (session expiry), client.go, connection.go and session.go (the client).
package zookeeper
