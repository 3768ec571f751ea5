package containers

import "testing"

func TestLastWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		"one\ntwo\n\n":         "two",
		"(it printed nothing)": "(it printed nothing)",
		"[1] INFO starting\n[2] ERROR Fatal error during startup\nkafka.zookeeper.ZooKeeperClientTimeoutException: Timed out waiting for connection\n\tat kafka.zookeeper\n[3] ERROR Exiting": "[2] ERROR Fatal error during startup kafka.zookeeper.ZooKeeperClientTimeoutException: Timed out waiting for connection",
		"[1] ERROR first\n[2] FATAL second\n[3] INFO bye": "[1] ERROR first",
	} {
		if got := lastWords(text); got != want {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
}
