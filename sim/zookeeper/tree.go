package zookeeper

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// txKind is what a transaction does.
type txKind uint8

const (
	txCreate txKind = iota + 1
	txSet
	txDelete
	txCreateSession
	txCloseSession
)

// origin says which server asked for a transaction, so that it can answer its client when it applies it.
type origin struct {
	server int    // the server's id
	run    uint64 // the incarnation of its process
	req    uint64 // the request within that incarnation
}

// txn is one write in the total order. Whether it succeeds is decided where it is applied, the same way on every server.
type txn struct {
	zxid    int64 // epoch << 32 | counter
	kind    txKind
	session int64
	path    string
	data    []byte
	version int32
	mode    port.CreateMode
	timeout time.Duration
	expired bool // txCloseSession: by the leader's clock rather than by the client
	from    origin
}

func (t *txn) size() int { return 60 + len(t.path) + len(t.data) }

func (t *txn) sum() uint64 {
	h := newHash(uint64(t.kind)).int(t.zxid).int(t.session).str(t.path).bytes(t.data)
	return uint64(h.int(int64(t.version)).int(int64(t.mode)).int(int64(t.timeout)))
}

// epochOf returns the epoch of a zxid.
func epochOf(zxid int64) int64 { return zxid >> 32 }

// znode is one node of the tree.
type znode struct {
	data     []byte
	czxid    int64
	mzxid    int64
	pzxid    int64 // last change of the list of children
	version  int32
	creates  int32 // children ever created: the next sequence number
	owner    int64
	children []string // names, sorted
}

func (z *znode) stat() port.Stat {
	return port.Stat{Czxid: z.czxid, Mzxid: z.mzxid, Version: z.version, NumChildren: int32(len(z.children)), EphemeralOwner: z.owner}
}

// sessionRecord is what every server knows of a session.
type sessionRecord struct {
	timeout    time.Duration
	ephemerals []string // paths, sorted
}

// tree is the replicated state.
type tree struct {
	zxid     int64 // last transaction applied
	nodes    map[string]*znode
	sessions map[int64]*sessionRecord
	keepEphs bool // Bugs.KeepEphemerals, at a follower
}

func newTree() *tree {
	return &tree{nodes: map[string]*znode{"/": {}}, sessions: map[int64]*sessionRecord{}}
}

func (t *tree) clone() *tree {
	c := &tree{zxid: t.zxid, nodes: make(map[string]*znode, len(t.nodes)), sessions: make(map[int64]*sessionRecord, len(t.sessions))}
	// order: from one map into another
	for p, z := range t.nodes {
		n := *z
		n.children = slices.Clone(z.children)
		c.nodes[p] = &n
	}
	// order: from one map into another
	for id, s := range t.sessions {
		c.sessions[id] = &sessionRecord{timeout: s.timeout, ephemerals: slices.Clone(s.ephemerals)}
	}
	return c
}

func (t *tree) size() int {
	n := 0
	// order: a sum
	for p, z := range t.nodes {
		n += 80 + len(p) + len(z.data)
	}
	return n + 16*len(t.sessions)
}

// sessionIDs returns the live sessions' ids, sorted.
func (t *tree) sessionIDs() []int64 {
	ids := make([]int64, 0, len(t.sessions))
	// order: sorted below
	for id := range t.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// code is an answer's error code on the wire.
type code int8

const (
	codeOK code = iota
	codeNoNode
	codeNodeExists
	codeBadVersion
	codeNotEmpty
	codeEphemeralParent
	codeSessionExpired
	codeSessionMoved
	codeBadPath
)

// outcome is a transaction's result.
type outcome struct {
	code code
	path string
	stat port.Stat
}

// changeKind is what happened to a znode.
type changeKind uint8

const (
	changeCreated changeKind = iota + 1
	changeDeleted
	changeData
	changeChildren
)

// apply applies x and reports each change to changed (may be nil), in order.
func (t *tree) apply(x *txn, changed func(changeKind, string)) outcome {
	t.zxid = x.zxid
	if changed == nil {
		changed = func(changeKind, string) {}
	}
	if x.kind == txCreateSession {
		t.sessions[x.session] = &sessionRecord{timeout: x.timeout}
		return outcome{}
	}
	s := t.sessions[x.session]
	if s == nil {
		return outcome{code: codeSessionExpired}
	}
	switch x.kind {
	case txCloseSession:
		if !t.keepEphs {
			for _, p := range s.ephemerals {
				if z := t.nodes[p]; z != nil && z.owner == x.session {
					t.remove(p, x.zxid, changed)
				}
			}
		}
		delete(t.sessions, x.session)
		return outcome{}
	case txCreate:
		return t.create(x, s, changed)
	case txSet:
		z := t.nodes[x.path]
		if z == nil {
			return outcome{code: codeNoNode}
		}
		if x.version != -1 && x.version != z.version {
			return outcome{code: codeBadVersion}
		}
		z.data, z.mzxid = x.data, x.zxid
		z.version++
		changed(changeData, x.path)
		return outcome{stat: z.stat()}
	case txDelete:
		return t.delete(x, changed)
	}
	panic(fmt.Sprintf("sim/zookeeper: unknown transaction kind %d", x.kind))
}

func (t *tree) create(x *txn, s *sessionRecord, changed func(changeKind, string)) outcome {
	parentPath, _ := split(x.path)
	parent := t.nodes[parentPath]
	if parent == nil {
		return outcome{code: codeNoNode}
	}
	path := x.path
	if sequential(x.mode) {
		path = fmt.Sprintf("%s%010d", path, parent.creates)
	}
	if t.nodes[path] != nil {
		return outcome{code: codeNodeExists}
	}
	if parent.owner != 0 {
		return outcome{code: codeEphemeralParent}
	}
	z := &znode{data: x.data, czxid: x.zxid, mzxid: x.zxid, pzxid: x.zxid}
	if x.mode == port.Ephemeral || x.mode == port.EphemeralSequential {
		z.owner = x.session
		s.ephemerals = insert(s.ephemerals, path)
	}
	t.nodes[path] = z
	_, name := split(path)
	parent.children = insert(parent.children, name)
	parent.creates++
	parent.pzxid = x.zxid
	changed(changeCreated, path)
	changed(changeChildren, parentPath)
	return outcome{path: path, stat: z.stat()}
}

func (t *tree) delete(x *txn, changed func(changeKind, string)) outcome {
	z := t.nodes[x.path]
	switch {
	case x.path == "/":
		return outcome{code: codeBadPath}
	case z == nil:
		return outcome{code: codeNoNode}
	case x.version != -1 && x.version != z.version:
		return outcome{code: codeBadVersion}
	case len(z.children) > 0:
		return outcome{code: codeNotEmpty}
	}
	if o := t.sessions[z.owner]; z.owner != 0 && o != nil {
		o.ephemerals = without(o.ephemerals, x.path)
	}
	t.remove(x.path, x.zxid, changed)
	return outcome{}
}

func (t *tree) remove(path string, zxid int64, changed func(changeKind, string)) {
	delete(t.nodes, path)
	parentPath, name := split(path)
	parent := t.nodes[parentPath]
	parent.children = without(parent.children, name)
	parent.pzxid = zxid
	changed(changeDeleted, path)
	changed(changeChildren, parentPath)
}

// sequential reports whether the ensemble appends a number to the name.
func sequential(m port.CreateMode) bool {
	return m == port.PersistentSequential || m == port.EphemeralSequential
}

// split returns the parent's path and the last name.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", path[i+1:]
	}
	return path[:i], path[i+1:]
}

// validPath reports whether path is absolute, without empty, "." or ".." elements. A sequential znode's may end in "/".
func validPath(path string, sequential bool) bool {
	if path == "/" {
		return true
	}
	if sequential {
		path += "0"
	}
	if path == "" || path[0] != '/' {
		return false
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." || strings.ContainsRune(name, 0) {
			return false
		}
	}
	return true
}

func insert(sorted []string, v string) []string {
	i, found := slices.BinarySearch(sorted, v)
	if found {
		return sorted
	}
	return slices.Insert(sorted, i, v)
}

func without(sorted []string, v string) []string {
	i, found := slices.BinarySearch(sorted, v)
	if !found {
		return sorted
	}
	return slices.Delete(sorted, i, i+1)
}

// hash is a running FNV-1a checksum over an event's content; it goes into the trace.
type hash uint64

func newHash(kind uint64) hash { return hash(14695981039346656037).int(int64(kind)) }

func (h hash) int(v int64) hash { return (h ^ hash(v)) * 1099511628211 }

func (h hash) str(s string) hash {
	for i := range len(s) {
		h = (h ^ hash(s[i])) * 1099511628211
	}
	return h
}

func (h hash) bytes(b []byte) hash {
	for _, c := range b {
		h = (h ^ hash(c)) * 1099511628211
	}
	return h
}
