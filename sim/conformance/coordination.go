package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/port"
)

// Coordination is the table of the Coordination port. Sources: ZooKeeper 3.8 Programmer's Guide (znodes, sessions,
// watches, consistency guarantees), go-zookeeper/zk v1.0.4 for what its client adds, and system/port for how errors match.
func Coordination() []Row {
	return slices.Concat(znodeRows(), watchRows(), sessionRows())
}

func znodeRows() []Row {
	return []Row{
		{"create and get return data and metadata", with(createAndGet)},
		{"create refuses an existing znode", with(createExisting)},
		{"create refuses a missing parent", with(createOrphan)},
		{"an ephemeral znode has no children", with(ephemeralParent)},
		{"sequence numbers increase and are not reused", with(sequence)},
		{"set compares and increases the version", with(setVersion)},
		{"delete compares the version", with(deleteVersion)},
		{"delete refuses a znode with children", with(deleteNotEmpty)},
		{"operations on a missing znode are refused", with(missingZnode)},
		{"czxid increases over re-creations", with(czxid)},
		{"mzxid follows the last set", with(mzxid)},
		{"children are sorted names", with(children)},
		{"bad paths are refused", with(badPaths)},
		{"an ephemeral znode names its session", with(ephemeralOwner)},
		{"after sync a read sees what was committed before", withBoth(syncRead)},
		{"of two creates one wins", withBoth(createRace)},
		{"compare and set loses no update", withBoth(compareAndSet)},
	}
}

func createAndGet(ctx context.Context, e *Env, s port.Session) error {
	created, err := s.Create(ctx, e.Path("x"), []byte("value"), port.Persistent)
	if err != nil {
		return err
	}
	data, st, err := s.Get(ctx, e.Path("x"))
	if err != nil {
		return err
	}
	if created != e.Path("x") || string(data) != "value" {
		return fmt.Errorf("created %q with %q, expected %q with \"value\"", created, data, e.Path("x"))
	}
	if st.Version != 0 || st.Czxid == 0 || st.Czxid != st.Mzxid || st.NumChildren != 0 || st.EphemeralOwner != 0 {
		return fmt.Errorf("metadata of a fresh persistent znode: %+v", st)
	}
	also, err := s.Exists(ctx, e.Path("x"))
	if err == nil && also != st {
		return fmt.Errorf("exists says %+v, get said %+v", also, st)
	}
	return err
}

func createExisting(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	_, err := s.Create(ctx, e.Path("x"), nil, port.Ephemeral)
	return refused("second create", err, port.ErrNodeExists)
}

func createOrphan(ctx context.Context, e *Env, s port.Session) error {
	_, err := s.Create(ctx, e.Path("no/child"), nil, port.Persistent)
	return refused("create without parent", err, port.ErrNoNode)
}

func ephemeralParent(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Ephemeral); err != nil {
		return err
	}
	_, err := s.Create(ctx, e.Path("x/y"), nil, port.Persistent)
	return refused("create under an ephemeral znode", err, nil)
}

func sequence(ctx context.Context, e *Env, s port.Session) error {
	last := ""
	for i := range 5 {
		mode := port.PersistentSequential
		if i%2 == 1 {
			mode = port.EphemeralSequential
		}
		path, err := s.Create(ctx, e.Path("n-"), nil, mode)
		if err != nil {
			return err
		}
		number := strings.TrimPrefix(path, e.Path("n-"))
		if len(number) != 10 || path <= last {
			return fmt.Errorf("create %d made %q after %q, expected ten increasing digits", i, path, last)
		}
		if want := fmt.Sprintf("%010d", i); number != want {
			return fmt.Errorf("create %d made number %s, expected %s", i, number, want)
		}
		last = path
		if err := s.Delete(ctx, path, -1); err != nil {
			return err
		}
	}
	return nil
}

func setVersion(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	for i, version := range []int32{0, 1, -1} {
		st, err := s.Set(ctx, e.Path("x"), []byte{byte(i)}, version)
		if err != nil {
			return err
		}
		if st.Version != int32(i)+1 {
			return fmt.Errorf("version %d after %d sets", st.Version, i+1)
		}
	}
	_, err := s.Set(ctx, e.Path("x"), []byte("lost"), 2)
	if err := refused("set with an old version", err, port.ErrBadVersion); err != nil {
		return err
	}
	data, st, err := s.Get(ctx, e.Path("x"))
	if err == nil && (st.Version != 3 || string(data) != "\x02") {
		return fmt.Errorf("after a refused set: %q %+v", data, st)
	}
	return err
}

func deleteVersion(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	if err := refused("delete with another version", s.Delete(ctx, e.Path("x"), 7), port.ErrBadVersion); err != nil {
		return err
	}
	if err := s.Delete(ctx, e.Path("x"), 0); err != nil {
		return err
	}
	_, err := s.Exists(ctx, e.Path("x"))
	return refused("exists after delete", err, port.ErrNoNode)
}

func deleteNotEmpty(ctx context.Context, e *Env, s port.Session) error {
	for _, p := range []string{"x", "x/y"} {
		if _, err := s.Create(ctx, e.Path(p), nil, port.Persistent); err != nil {
			return err
		}
	}
	if err := refused("delete with a child", s.Delete(ctx, e.Path("x"), -1), port.ErrNotEmpty); err != nil {
		return err
	}
	if err := s.Delete(ctx, e.Path("x/y"), -1); err != nil {
		return err
	}
	return s.Delete(ctx, e.Path("x"), -1)
}

func missingZnode(ctx context.Context, e *Env, s port.Session) error {
	p := e.Path("missing")
	_, _, getErr := s.Get(ctx, p)
	_, setErr := s.Set(ctx, p, nil, -1)
	_, existsErr := s.Exists(ctx, p)
	_, childrenErr := s.Children(ctx, p)
	_, _, _, getWErr := s.GetW(ctx, p)
	return errors.Join(
		refused("get", getErr, port.ErrNoNode), refused("set", setErr, port.ErrNoNode),
		refused("exists", existsErr, port.ErrNoNode), refused("children", childrenErr, port.ErrNoNode),
		refused("get with watch", getWErr, port.ErrNoNode), refused("delete", s.Delete(ctx, p, -1), port.ErrNoNode))
}

func czxid(ctx context.Context, e *Env, s port.Session) error {
	var last int64
	for range 4 {
		if _, err := s.Create(ctx, e.Path("x"), nil, port.Ephemeral); err != nil {
			return err
		}
		st, err := s.Exists(ctx, e.Path("x"))
		if err != nil {
			return err
		}
		if st.Czxid <= last {
			return fmt.Errorf("czxid %d after %d", st.Czxid, last)
		}
		last = st.Czxid
		if err := s.Delete(ctx, e.Path("x"), -1); err != nil {
			return err
		}
	}
	return nil
}

func mzxid(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	before, err := s.Exists(ctx, e.Path("x"))
	if err != nil {
		return err
	}
	after, err := s.Set(ctx, e.Path("x"), nil, -1)
	if err == nil && (after.Czxid != before.Czxid || after.Mzxid <= before.Mzxid) {
		return fmt.Errorf("set changed %+v to %+v", before, after)
	}
	return err
}

func children(ctx context.Context, e *Env, s port.Session) error {
	for _, n := range []string{"c", "a", "b", "a/below"} {
		if _, err := s.Create(ctx, e.Path(n), nil, port.Persistent); err != nil {
			return err
		}
	}
	names, err := s.Children(ctx, e.Root)
	if err != nil {
		return err
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		return fmt.Errorf("children %q", names)
	}
	st, err := s.Exists(ctx, e.Root)
	if err == nil && st.NumChildren != 3 {
		return fmt.Errorf("%d children counted, expected 3", st.NumChildren)
	}
	return err
}

func badPaths(ctx context.Context, _ *Env, s port.Session) error {
	var errs []error
	for _, p := range []string{"", "x", "/x/", "/x//y", "/x/../y", "/./x"} {
		_, err := s.Create(ctx, p, nil, port.Persistent)
		errs = append(errs, refused(fmt.Sprintf("create %q", p), err, nil))
	}
	return errors.Join(errs...)
}

func ephemeralOwner(ctx context.Context, e *Env, s port.Session) error {
	if _, err := s.Create(ctx, e.Path("x"), nil, port.Ephemeral); err != nil {
		return err
	}
	st, err := s.Exists(ctx, e.Path("x"))
	if err == nil && (st.EphemeralOwner != s.ID() || s.ID() == 0) {
		return fmt.Errorf("owner 0x%x, session 0x%x", st.EphemeralOwner, s.ID())
	}
	return err
}

func syncRead(ctx context.Context, e *Env, a, b port.Session) error {
	if _, err := a.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	for i := range 20 {
		want, err := a.Set(ctx, e.Path("x"), nil, -1)
		if err != nil {
			return err
		}
		if err := b.Sync(ctx, e.Path("x")); err != nil {
			return err
		}
		got, err := b.Exists(ctx, e.Path("x"))
		if err != nil {
			return err
		}
		if got.Version < want.Version {
			return fmt.Errorf("round %d: version %d was committed, a read after sync saw %d", i, want.Version, got.Version)
		}
	}
	return nil
}

func createRace(ctx context.Context, e *Env, a, b port.Session) error {
	_, errA := a.Create(ctx, e.Path("x"), []byte("a"), port.Ephemeral)
	_, errB := b.Create(ctx, e.Path("x"), []byte("b"), port.Ephemeral)
	if errA != nil {
		return errA
	}
	return refused("the later create", errB, port.ErrNodeExists)
}

func compareAndSet(ctx context.Context, e *Env, a, b port.Session) error {
	if _, err := a.Create(ctx, e.Path("x"), nil, port.Persistent); err != nil {
		return err
	}
	if _, err := a.Set(ctx, e.Path("x"), []byte("a"), 0); err != nil {
		return err
	}
	_, err := b.Set(ctx, e.Path("x"), []byte("b"), 0)
	return refused("set with the version read before", err, port.ErrBadVersion)
}
