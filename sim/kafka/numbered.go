package kafka

import (
	"context"
	"fmt"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// Numbers are a batch's producer, epoch and first sequence number.
type Numbers struct {
	Producer int64
	Epoch    int16
	First    int32
}

// Numbered sends numbered batches by hand, one request at a time: what no producer lets its user do.
type Numbered struct{ k *client }

// Numbered returns a client for numbered batches, living in process p on a network node.
func (c *Cluster) Numbered(node *simnet.Node, p *sched.Process) *Numbered {
	return &Numbered{c.newClient(node, p, adminDialTimeout, adminReadTimeout)}
}

// Begin asks some broker for a producer ID.
func (n *Numbered) Begin(ctx context.Context) (int64, error) {
	body, err := n.k.ask(ctx, n.k.order()[0], simnet.Message{Body: &initProducerIDRequest{}, Size: headerBytes})
	if err != nil {
		return 0, err
	}
	return body.(*initProducerIDResponse).producer, nil
}

// Append sends a batch to the partition's leader with acks=all. An answer that is an error is an [AnswerError].
func (n *Numbered) Append(ctx context.Context, topic string, partition int32, as Numbers, values ...string) (int64, error) {
	if err := n.k.refreshWait(ctx, topic); err != nil {
		return noOffset, err
	}
	ref := n.k.c.ref(topic, partition)
	l, ok := n.k.leader(ref)
	if !ok {
		return noOffset, fmt.Errorf("%s/%d has no leader", topic, partition)
	}
	in := producePart{ref: ref, bytes: batchHeaderBytes, seq: sequence{as.Producer, as.Epoch, as.First}}
	for _, v := range values {
		in.recs = append(in.recs, port.Record{Value: []byte(v)})
		in.bytes += sizeOfRecord(&in.recs[len(in.recs)-1])
	}
	req := &produceRequest{acks: port.AcksAll, timeout: adminReadTimeout / 2, parts: []producePart{in}}
	body, err := n.k.ask(ctx, l.id, simnet.Message{Body: req, Size: headerBytes + in.bytes})
	if err != nil {
		return noOffset, err
	}
	out := body.(*produceResponse).parts[0]
	if out.code != codeNone {
		return noOffset, AnswerError(out.code.String())
	}
	return out.base, nil
}

// AnswerError is a broker's answer by its name in the protocol.
type AnswerError string

// Error implements error.
func (e AnswerError) Error() string { return "broker answered " + string(e) }
