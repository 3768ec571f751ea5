package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// Znodes, under a chroot as in the containers world, so that the pipeline's own znodes are kept apart.
const (
	zkRoot            = "/kafka"
	zkBrokerIDs       = "/kafka/brokers/ids"
	zkTopics          = "/kafka/brokers/topics"
	zkController      = "/kafka/controller"
	zkControllerEpoch = "/kafka/controller_epoch"
)

// zkRetry is the pause after a lost ZooKeeper connection before an operation is tried again.
const zkRetry = 50 * time.Millisecond

// registration keeps a broker registered in ZooKeeper and a candidate for controller.
type registration struct {
	b    *server
	sess port.Session
}

// run lives as long as the process: a session that has expired is followed by a new one.
func (g *registration) run(ctx context.Context) {
	b := g.b
	zk := b.c.zk.Client(b.node, b.p)
	for b.stopping == nil || !b.stopping.Done() {
		sess, err := zk.Connect(ctx, b.cfg.SessionTimeout)
		if err != nil {
			if b.p.Sleep(ctx, zkRetry) != nil {
				return
			}
			continue
		}
		g.sess = sess
		if g.register(ctx) == nil {
			b.listen()
			g.candidate(ctx)
		}
		if b.controller != nil {
			b.controller.resign()
			b.controller = nil
		}
	}
}

// retry repeats an operation while the connection is lost. What it returns then is certain.
func retry(ctx context.Context, r rt.Runtime, op func() error) error {
	for {
		err := op()
		if err == nil || !errors.Is(err, port.ErrUnknown) || errors.Is(err, port.ErrSessionExpired) {
			return err
		}
		if err := r.Sleep(ctx, zkRetry); err != nil {
			return err
		}
	}
}

// makePath creates a persistent znode unless it is there.
func makePath(ctx context.Context, r rt.Runtime, sess port.Session, path string, data []byte) error {
	err := retry(ctx, r, func() error {
		_, err := sess.Create(ctx, path, data, port.Persistent)
		return err
	})
	if errors.Is(err, port.ErrNodeExists) {
		return nil
	}
	return err
}

// register enters the broker under its id.
//
// While the znode of an earlier session lives, a starting broker would exit with NodeExists. So, as in the containers
// world, whoever starts it waits until the znode has gone; only then does the process begin to come up. That wait is not
// a nicety: a controller elected when the broker is already registered again takes it for the one it knew, and if its
// disk is new an empty log leads.
func (g *registration) register(ctx context.Context) error {
	b := g.b
	for _, path := range []string{zkRoot, "/kafka/brokers", zkBrokerIDs, zkTopics} {
		if err := makePath(ctx, b.p, g.sess, path, nil); err != nil {
			return err
		}
	}
	path := brokerPath(b.id)
	for {
		if err := g.absent(ctx, path); err != nil {
			return err
		}
		if !b.listening {
			if err := b.p.Sleep(ctx, b.cfg.StartupTime); err != nil {
				return err
			}
		}
		err := retry(ctx, b.p, func() error {
			_, err := g.sess.Create(ctx, path, []byte(b.name), port.Ephemeral)
			return err
		})
		if err != nil && !errors.Is(err, port.ErrNodeExists) {
			return err
		}
		var st port.Stat
		err = retry(ctx, b.p, func() (err error) { st, err = g.sess.Exists(ctx, path); return err })
		switch {
		case err == nil && st.EphemeralOwner == g.sess.ID():
			b.epoch = st.Czxid
			return nil
		case err != nil && !errors.Is(err, port.ErrNoNode):
			return err
		}
	}
}

// absent waits until a znode is not there.
func (g *registration) absent(ctx context.Context, path string) error {
	for {
		err := retry(ctx, g.b.p, func() error { _, err := g.sess.Exists(ctx, path); return err })
		switch {
		case errors.Is(err, port.ErrNoNode):
			return nil
		case err != nil:
			return err
		}
		if err := g.b.p.Sleep(ctx, g.b.cfg.RetryRegister); err != nil {
			return err
		}
	}
}

func brokerPath(id int32) string { return zkBrokerIDs + "/" + strconv.Itoa(int(id)) }

// candidate stands for controller until the session has expired.
func (g *registration) candidate(ctx context.Context) {
	b := g.b
	for {
		changed, err := g.elect(ctx)
		if errors.Is(err, port.ErrSessionExpired) || ctx.Err() != nil {
			return
		}
		if err != nil { // connection lost, or lost the race: look again
			if b.p.Sleep(ctx, zkRetry) != nil || g.expired() {
				return
			}
			continue
		}
		for !changed.Done() {
			if _, err := rt.WaitAny(ctx, b.p, changed, g.sess.States()); err != nil {
				return
			}
			if g.expired() {
				return
			}
		}
	}
}

// expired drains the session's states and says whether it is over.
func (g *registration) expired() bool {
	for {
		st, ok := g.sess.States().TryPop()
		switch {
		case !ok:
			return false
		case st == port.SessionExpired:
			return true
		}
	}
}

// elect looks who is controller and becomes it if nobody is. The future is done when that may have changed.
func (g *registration) elect(ctx context.Context) (*rt.Future[port.WatchEvent], error) {
	b := g.b
	data, st, changed, err := g.sess.GetW(ctx, zkController)
	mine := err == nil && st.EphemeralOwner == g.sess.ID()
	switch {
	case errors.Is(err, port.ErrNoNode):
		if b.controller != nil { // lost it: someone deleted the znode
			b.controller.resign()
			b.controller = nil
		}
		if _, err := g.sess.Create(ctx, zkController, []byte(strconv.Itoa(int(b.id))), port.Ephemeral); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s created: set the watch", zkController)
	case err != nil:
		return nil, err
	case !mine:
		if b.controller != nil {
			b.controller.resign()
			b.controller = nil
		}
		if id, err := strconv.Atoi(string(data)); err == nil && b.meta.controller == noBroker {
			b.meta.controller = int32(id)
		}
		return changed, nil
	case b.controller != nil:
		return changed, nil
	}
	epoch, err := g.nextEpoch(ctx)
	if err != nil {
		return nil, err
	}
	b.controller = newController(b, g.sess, epoch)
	b.controller.start()
	return changed, nil
}

// nextEpoch raises the controller epoch. Only the holder of /controller does so; each success yields an epoch that no
// one else got.
func (g *registration) nextEpoch(ctx context.Context) (int32, error) {
	if err := makePath(ctx, g.b.p, g.sess, zkControllerEpoch, []byte("0")); err != nil {
		return 0, err
	}
	for {
		data, st, err := g.sess.Get(ctx, zkControllerEpoch)
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			return 0, fmt.Errorf("%s holds %q, expected a number", zkControllerEpoch, data)
		}
		_, err = g.sess.Set(ctx, zkControllerEpoch, []byte(strconv.Itoa(n+1)), st.Version)
		if err == nil {
			return int32(n + 1), nil
		}
		if !errors.Is(err, port.ErrBadVersion) {
			return 0, err
		}
	}
}

// topicNode is a topic's znode: the assignment and what of the topic's configuration replication needs.
type topicNode struct {
	Replicas [][]int32 `json:"partitions"`
	MinISR   int       `json:"min_insync_replicas"`
	Unclean  bool      `json:"unclean_leader_election"`
}

// stateNode is a partition's state znode, as Kafka lays it out.
type stateNode struct {
	ControllerEpoch int32   `json:"controller_epoch"`
	Leader          int32   `json:"leader"`
	LeaderEpoch     int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("kafka: a znode cannot be encoded: %v", err)) // plain structs of numbers always can
	}
	return data
}

func topicPath(topic string) string { return zkTopics + "/" + topic }

func statePath(ref *tpRef) string {
	return topicPath(ref.topic) + "/partitions/" + strconv.Itoa(int(ref.part)) + "/state"
}
