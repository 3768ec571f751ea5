package containers

import "testing"

func TestLastWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		"one\ntwo\n\n":         "two",
		"(it printed nothing)": "(it printed nothing)",
		"[1] INFO starting\n[2] ERROR Fatal error during KafkaServer startup. Prepare to shutdown (kafka.server.KafkaServer)\nkafka.zookeeper.ZooKeeperClientTimeoutException: Timed out waiting for connection while in state: CONNECTING\n\tat kafka.zookeeper\n[3] INFO shutting down": "[2] ERROR Fatal error during KafkaServer startup. Prepare to shutdown (kafka.server.KafkaServer)",
		"[1] ERROR first\n[2] FATAL second\n[3] INFO bye": "[2] FATAL second",
	} {
		if got := lastWords(text); got != want {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
}
