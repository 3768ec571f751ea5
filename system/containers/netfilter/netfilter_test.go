package netfilter

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// fake answers like a namespace and keeps what it was told.
type fake struct {
	calls  []string
	noTool string // a tool that fails
	list   string
}

func (f *fake) Exec(_ context.Context, stdin string, argv ...string) (string, error) {
	f.calls = append(f.calls, strings.Join(argv, " ")+"\n"+stdin)
	if f.noTool != "" && strings.HasPrefix(argv[0], f.noTool) {
		return "", errors.New(argv[0] + ": not found")
	}
	return f.list, nil
}

func cut() Cut {
	return Cut{Name: "k1", Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}, In: true, Out: true}
}

func TestCutIsOneTransactionOnOwnChains(t *testing.T) {
	t.Parallel()
	ns := &fake{}
	if err := New(ns).Apply(context.Background(), cut()); err != nil {
		t.Fatal(err)
	}
	want := `iptables-legacy-restore -w 5 --noflush
*filter
:RATEL-k1-I - [0:0]
:RATEL-k1-O - [0:0]
-A RATEL-k1-I -s 10.0.0.2 -j DROP
-A RATEL-k1-O -d 10.0.0.2 -j DROP
-A RATEL-k1-I -s 10.0.0.3 -j DROP
-A RATEL-k1-O -d 10.0.0.3 -j DROP
-I INPUT 1 -j RATEL-k1-I
-I OUTPUT 1 -j RATEL-k1-O
COMMIT
`
	if got := ns.calls[len(ns.calls)-1]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOneWayCutTouchesOneChain(t *testing.T) {
	t.Parallel()
	ns := &fake{list: "Chain RATEL-k1-O (1 references)\n    pkts      bytes target     prot opt in     out     source               destination\n      41     2132 DROP       all  --  *      *       0.0.0.0/0            10.0.0.2\n       1       52 DROP       all  --  *      *       0.0.0.0/0            10.0.0.3\n"}
	c := cut()
	c.In = false
	f := New(ns)
	if err := f.Apply(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	dropped, err := f.Remove(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if dropped != 42 {
		t.Errorf("dropped %d, want 42", dropped)
	}
	for _, call := range ns.calls {
		if strings.Contains(call, "INPUT") || strings.Contains(call, "nat") {
			t.Errorf("an outbound cut must touch only OUTPUT of the filter table:\n%s", call)
		}
	}
}

func TestFallsBackToTheOtherBackend(t *testing.T) {
	t.Parallel()
	ns := &fake{noTool: "iptables-legacy"}
	if err := New(ns).Apply(context.Background(), cut()); err != nil {
		t.Fatal(err)
	}
	if last := ns.calls[len(ns.calls)-1]; !strings.HasPrefix(last, "iptables-restore ") {
		t.Errorf("rules were set with %q", last)
	}
	ns = &fake{noTool: "iptables"}
	if err := New(ns).Apply(context.Background(), cut()); err == nil || !strings.Contains(err.Error(), "no usable packet filter") {
		t.Errorf("without any backend: %v", err)
	}
}

func TestEmptyCutIsRefused(t *testing.T) {
	t.Parallel()
	if err := New(&fake{}).Apply(context.Background(), Cut{Name: "x", In: true}); err == nil {
		t.Error("a cut without peers was accepted")
	}
	c := cut()
	c.In, c.Out = false, false
	if err := New(&fake{}).Apply(context.Background(), c); err == nil {
		t.Error("a cut without a direction was accepted")
	}
}
