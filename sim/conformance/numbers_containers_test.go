//go:build containers

package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/IBM/sarama"

	simkafka "github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/system/kafka"
)

// realNumbers speaks to real brokers, with a client of its own for each request.
type realNumbers struct{ kafka.Options }

// Dial implements Sarama's proxy dialer.
func (n realNumbers) Dial(network, address string) (net.Conn, error) {
	if n.Options.Dial == nil {
		return net.DialTimeout(network, address, time.Second)
	}
	return n.Options.Dial(network, address, time.Second)
}

func (n realNumbers) client() (sarama.Client, error) {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_1_0
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = time.Second, 5*time.Second, 5*time.Second
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, n
	c.Metadata.Retry.Max = 0
	return sarama.NewClient(n.Seeds, c)
}

func (n realNumbers) Begin(context.Context) (int64, error) {
	client, err := n.client()
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	resp, err := client.InitProducerID()
	switch {
	case err != nil:
		return 0, err
	case resp.Err != sarama.ErrNoError:
		return 0, resp.Err
	case resp.ProducerEpoch != 0:
		return 0, fmt.Errorf("a new producer's epoch is %d", resp.ProducerEpoch)
	}
	return resp.ProducerID, nil
}

func (n realNumbers) Append(_ context.Context, topic string, partition int32, as simkafka.Numbers, values ...string) (int64, error) {
	client, err := n.client()
	if err != nil {
		return -1, err
	}
	defer func() { _ = client.Close() }()
	leader, err := client.Leader(topic, partition)
	if err != nil {
		return -1, err
	}
	now := time.Now()
	batch := &sarama.RecordBatch{Version: 2, FirstTimestamp: now, MaxTimestamp: now, ProducerID: as.Producer, ProducerEpoch: as.Epoch, FirstSequence: as.First, LastOffsetDelta: int32(len(values) - 1)}
	for i, v := range values {
		batch.Records = append(batch.Records, &sarama.Record{OffsetDelta: int64(i), Value: []byte(v)})
	}
	req := &sarama.ProduceRequest{RequiredAcks: sarama.WaitForAll, Timeout: 3000, Version: 7}
	req.AddBatch(topic, partition, batch)
	resp, err := leader.Produce(req)
	if err != nil {
		return -1, err
	}
	block := resp.GetBlock(topic, partition)
	switch {
	case block == nil:
		return -1, errors.New("the answer has nothing of the partition")
	case block.Err == sarama.ErrOutOfOrderSequenceNumber:
		return -1, ErrOutOfOrder
	case block.Err == sarama.ErrInvalidProducerEpoch:
		return -1, ErrOldEpoch
	case block.Err != sarama.ErrNoError:
		return -1, block.Err
	}
	return block.Offset, nil
}
