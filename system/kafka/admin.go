package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system/port"
)

const (
	adminReadTimeout = 4 * time.Second
	adminBackoff     = 100 * time.Millisecond
	// metadataPatience is how long Describe and Brokers wait for further brokers once one has answered.
	metadataPatience = 500 * time.Millisecond
	// spreadPatience is how long a new topic may take to be known by every broker.
	spreadPatience = 5 * time.Second
	// createTimeout is how long the controller may take to have all leaders elected.
	createTimeout = 5 * time.Second
)

// admin implements port.LogAdmin.
type admin struct {
	l      *Log
	config *sarama.Config

	mu      sync.Mutex
	client  sarama.Client
	brokers map[string]*sarama.Broker // for metadata, by address
	known   []string                  // seeds, and advertised addresses as they are learnt
	closed  bool
}

func newAdmin(l *Log) *admin {
	c := l.base("ratel-admin", maxDial, adminReadTimeout)
	c.Admin.Timeout = createTimeout
	c.Admin.Retry.Max = 0
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 3, adminBackoff
	// Without any topic in use Sarama refuses to refresh otherwise, and so never learns who the controller is.
	c.Metadata.Full = true
	return &admin{l: l, config: c, brokers: map[string]*sarama.Broker{}, known: slices.Clone(l.seeds)}
}

func (a *admin) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, b := range a.brokers {
		_ = b.Close() // an error says that it was not connected
	}
	if a.client == nil {
		return nil
	}
	return a.client.Close()
}

func (a *admin) sarama() (sarama.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, errClosed
	}
	if a.client == nil {
		c, err := sarama.NewClient(a.l.seeds, a.config)
		if err != nil {
			return nil, err
		}
		a.client = c
	}
	return a.client, nil
}

// connection returns the connection to an address, which is kept. After an error of a request it must be closed.
func (a *admin) connection(address string) (*sarama.Broker, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, errClosed
	}
	b := a.brokers[address]
	if b == nil {
		b = sarama.NewBroker(address)
		a.brokers[address] = b
	}
	a.mu.Unlock()
	if err := b.Open(a.config); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		return nil, err
	}
	return b, nil
}

// addresses are those of all brokers that are known.
func (a *admin) addresses() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.known)
}

// ask gets metadata from one address.
func (a *admin) ask(address, topic string) (*sarama.MetadataResponse, error) {
	b, err := a.connection(address)
	if err != nil {
		return nil, err
	}
	topics := []string{}
	if topic != "" {
		topics = append(topics, topic)
	}
	req := sarama.NewMetadataRequest(version, topics)
	req.AllowAutoTopicCreation = false
	resp, err := b.GetMetadata(req)
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return resp, nil
}

// everyone asks all brokers at once and returns the answers that came soon: a broker that is cut off from the others
// still answers, with what it knew.
func (a *admin) everyone(ctx context.Context, topic string) ([]*sarama.MetadataResponse, error) {
	addresses := a.addresses()
	type answer struct {
		resp *sarama.MetadataResponse
		err  error
	}
	answers := make(chan answer, len(addresses))
	for _, address := range addresses {
		go func() {
			resp, err := a.ask(address, topic)
			if err != nil {
				err = fmt.Errorf("%s: %w", address, err)
			}
			answers <- answer{resp, err}
		}()
	}
	var got []*sarama.MetadataResponse
	var errs []error
	var enough <-chan time.Time
collect:
	for range addresses {
		select {
		case <-ctx.Done():
			errs = append(errs, ctx.Err())
			break collect
		case <-enough:
			break collect
		case x := <-answers:
			switch {
			case x.err != nil:
				errs = append(errs, x.err)
			case len(x.resp.Brokers) > 0: // else it has just started and knows nothing
				got = append(got, x.resp)
				if enough == nil {
					enough = time.After(metadataPatience)
				}
			}
		}
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("no broker answers metadata requests: %w", errors.Join(errs...))
	}
	a.learn(got)
	return got, nil
}

// learn adds advertised addresses when the seeds do not name every broker.
func (a *admin) learn(got []*sarama.MetadataResponse) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, resp := range got {
		if len(resp.Brokers) <= len(a.l.seeds) {
			continue
		}
		for _, b := range resp.Brokers {
			if !slices.Contains(a.known, b.Addr()) {
				a.known = append(a.known, b.Addr())
			}
		}
	}
}

// Describe implements [port.LogAdmin]: each partition as those see it who know its highest leader epoch, the
// controller's own word before others'.
func (a *admin) Describe(ctx context.Context, topic string) ([]port.PartitionState, error) {
	out, _, err := a.describe(ctx, topic)
	return out, err
}

// describe also tells how many partitions with a leader every broker that answers knows.
func (a *admin) describe(ctx context.Context, topic string) (out []port.PartitionState, everywhere int, err error) {
	got, err := a.everyone(ctx, topic)
	if err != nil {
		return nil, 0, fmt.Errorf("kafka: describe %s: %w", topic, err)
	}
	if out = freshest(got, topic); out == nil {
		return nil, 0, fmt.Errorf("kafka: describe %s: %w", topic, port.ErrNoTopic)
	}
	for i, p := range out {
		if p.Replicas == nil {
			return nil, 0, fmt.Errorf("kafka: describe %s: partition %d is not in the metadata yet", topic, i)
		}
	}
	everywhere = len(out)
	for _, resp := range got {
		led := 0
		for _, p := range freshest([]*sarama.MetadataResponse{resp}, topic) {
			if p.Leader >= 0 {
				led++
			}
		}
		everywhere = min(everywhere, led)
	}
	return out, everywhere, nil
}

// spread waits, for some seconds, until every broker knows that a topic has so many partitions: one that does not refuses what
// is asked of it about them. One that is cut off from the others would never learn of it, and is not waited for.
func (a *admin) spread(ctx context.Context, topic string, total int32) error {
	for end := a.l.r.Now().Add(spreadPatience); a.l.r.Now().Before(end); {
		if _, everywhere, err := a.describe(ctx, topic); err == nil && everywhere >= int(total) {
			return nil
		}
		if err := a.l.r.Sleep(ctx, adminBackoff); err != nil {
			return fmt.Errorf("kafka: wait until every broker knows topic %s: %w", topic, err)
		}
	}
	return nil
}

// freshest merges several brokers' views of a topic. Between views under one leader epoch, which can differ only in the
// ISR, the one that more brokers share wins.
func freshest(got []*sarama.MetadataResponse, topic string) []port.PartitionState {
	var out []port.PartitionState
	votes := map[string]int{}
	key := func(p port.PartitionState) string { return fmt.Sprint(p) }
	var views [][]port.PartitionState
	for _, resp := range got {
		var view []port.PartitionState
		for _, t := range resp.Topics {
			if t.Name != topic {
				continue
			}
			for _, p := range t.Partitions {
				s := port.PartitionState{Partition: p.ID, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: slices.Clone(p.Replicas), ISR: slices.Clone(p.Isr)}
				slices.Sort(s.ISR)
				view = append(view, s)
				votes[key(s)]++
			}
		}
		views = append(views, view)
	}
	for _, view := range views {
		for _, p := range view {
			for len(out) <= int(p.Partition) {
				out = append(out, port.PartitionState{Partition: int32(len(out)), Leader: -1, LeaderEpoch: -2})
			}
			best := &out[p.Partition]
			if p.LeaderEpoch > best.LeaderEpoch || p.LeaderEpoch == best.LeaderEpoch && votes[key(p)] > votes[key(*best)] {
				*best = p
			}
		}
	}
	return out
}

// Brokers implements [port.LogAdmin]: the list that most of those who answer agree on.
func (a *admin) Brokers(ctx context.Context) ([]int32, error) {
	got, err := a.everyone(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("kafka: list brokers: %w", err)
	}
	votes := map[string]int{}
	var best []int32
	for _, resp := range got {
		var ids []int32
		for _, b := range resp.Brokers {
			ids = append(ids, b.ID())
		}
		slices.Sort(ids)
		votes[fmt.Sprint(ids)]++
		if best == nil || votes[fmt.Sprint(ids)] > votes[fmt.Sprint(best)] {
			best = ids
		}
	}
	return best, nil
}

// CreateTopic implements [port.LogAdmin]. It returns once every partition has a leader and the brokers know it.
func (a *admin) CreateTopic(ctx context.Context, spec port.TopicSpec) error {
	_, err := await(ctx, a.l.r, func() (struct{}, error) { return struct{}{}, a.create(spec) })
	existed := errors.Is(err, sarama.ErrTopicAlreadyExists)
	switch {
	case err == nil || existed:
	case refusedCreation(err):
		return fmt.Errorf("kafka: create topic %s (%d partitions, replication %d): %w: %w", spec.Name, spec.Partitions, spec.Replication, port.ErrRefused, err)
	default:
		return fmt.Errorf("kafka: create topic %s: %w: %w", spec.Name, port.ErrUnknown, err)
	}
	for {
		parts, err := a.Describe(ctx, spec.Name)
		ready := err == nil && len(parts) > 0
		for _, p := range parts {
			ready = ready && p.Leader >= 0
		}
		if ready && existed && (len(parts) != int(spec.Partitions) || len(parts[0].Replicas) != int(spec.Replication)) {
			return fmt.Errorf("kafka: topic %s has %d partitions and replication %d, wanted %d and %d: %w", spec.Name,
				len(parts), len(parts[0].Replicas), spec.Partitions, spec.Replication, port.ErrExists)
		}
		if ready && len(parts) == int(spec.Partitions) {
			return a.spread(ctx, spec.Name, spec.Partitions)
		}
		if err := a.l.r.Sleep(ctx, adminBackoff); err != nil {
			return fmt.Errorf("kafka: topic %s was created but has no leaders yet: %w", spec.Name, err)
		}
	}
}

func (a *admin) create(spec port.TopicSpec) error {
	client, err := a.sarama()
	if err != nil {
		return err
	}
	if _, err := client.RefreshController(); err != nil {
		return err
	}
	ca, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	minISR, unclean := strconv.Itoa(max(spec.MinISR, 1)), strconv.FormatBool(spec.Unclean)
	detail := &sarama.TopicDetail{
		NumPartitions: spec.Partitions, ReplicationFactor: spec.Replication,
		ConfigEntries: map[string]*string{"min.insync.replicas": &minISR, "unclean.leader.election.enable": &unclean},
	}
	if len(spec.Assignment) > 0 {
		detail.NumPartitions, detail.ReplicationFactor, detail.ReplicaAssignment = -1, -1, map[int32][]int32{}
		for p, replicas := range spec.Assignment {
			detail.ReplicaAssignment[int32(p)] = replicas
		}
	}
	return ca.CreateTopic(spec.Name, detail, false)
}

// GrowTopic implements [port.LogAdmin].
func (a *admin) GrowTopic(ctx context.Context, topic string, total int32) error {
	_, err := await(ctx, a.l.r, func() (struct{}, error) { return struct{}{}, a.grow(topic, total) })
	// Kafka says so of fewer and of as many: which of both is told by looking.
	refused := refusedCreation(err)
	switch {
	case err == nil || errors.Is(err, sarama.ErrInvalidPartitions):
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("kafka: grow topic %s to %d partitions: %w: %w", topic, total, port.ErrNoTopic, err)
	case refused:
		return fmt.Errorf("kafka: grow topic %s to %d partitions: %w: %w", topic, total, port.ErrRefused, err)
	default:
		return fmt.Errorf("kafka: grow topic %s to %d partitions: %w: %w", topic, total, port.ErrUnknown, err)
	}
	for {
		parts, look := a.Describe(ctx, topic)
		switch {
		case look == nil && err != nil && len(parts) != int(total):
			return fmt.Errorf("kafka: grow topic %s to %d partitions: it has %d: %w: %w", topic, total, len(parts), port.ErrRefused, err)
		case look == nil && len(parts) == int(total) && !slices.ContainsFunc(parts, func(p port.PartitionState) bool { return p.Leader < 0 }):
			return a.spread(ctx, topic, total)
		}
		if sleep := a.l.r.Sleep(ctx, adminBackoff); sleep != nil {
			return fmt.Errorf("kafka: topic %s has grown to %d partitions, which have no leaders yet: %w", topic, total, errors.Join(sleep, look))
		}
	}
}

func (a *admin) grow(topic string, total int32) error {
	client, err := a.sarama()
	if err != nil {
		return err
	}
	if _, err := client.RefreshController(); err != nil {
		return err
	}
	ca, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	return ca.CreatePartitions(topic, total, nil, false)
}

// refusedCreation says whether the controller has certainly not created the topic.
func refusedCreation(err error) bool {
	for _, k := range []sarama.KError{sarama.ErrInvalidTopic, sarama.ErrInvalidPartitions, sarama.ErrInvalidReplicationFactor,
		sarama.ErrInvalidReplicaAssignment, sarama.ErrInvalidConfig, sarama.ErrNotController, sarama.ErrPolicyViolation,
		sarama.ErrClusterAuthorizationFailed, sarama.ErrTopicAuthorizationFailed} {
		if errors.Is(err, k) {
			return true
		}
	}
	return refusedBy(err, false) || errors.Is(err, sarama.ErrOutOfBrokers) || errors.Is(err, sarama.ErrControllerNotAvailable)
}

// Offsets implements [port.LogAdmin].
func (a *admin) Offsets(ctx context.Context, topic string, partition int32) (start, highWatermark int64, err error) {
	if start, err = a.offset(ctx, topic, partition, sarama.OffsetOldest); err == nil {
		highWatermark, err = a.offset(ctx, topic, partition, sarama.OffsetNewest)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("kafka: offsets of %s/%d: %w", topic, partition, err)
	}
	return start, highWatermark, nil
}

func (a *admin) offset(ctx context.Context, topic string, partition int32, which int64) (int64, error) {
	denied := 0
	for {
		n, err := await(ctx, a.l.r, func() (int64, error) {
			client, err := a.sarama()
			if err != nil {
				return 0, err
			}
			return client.GetOffset(topic, partition, which)
		})
		switch {
		case err == nil:
			return n, nil
		case ctx.Err() != nil || errors.Is(err, errClosed) || errors.Is(err, sarama.ErrClosedClient):
			return 0, err
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			if denied++; denied >= unknownTopicTries {
				return 0, port.ErrNoTopic
			}
		}
		if err := a.l.r.Sleep(ctx, adminBackoff); err != nil {
			return 0, err
		}
	}
}
