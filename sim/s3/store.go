package s3

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ratel-sim/ratel/system/port"
)

// object is one version of an object. It is immutable.
type object struct {
	data []byte
	etag string
}

// upload is a multipart upload under way.
type upload struct {
	key   string
	parts map[int32]object
}

// store is what the bucket holds.
type store struct {
	minPart int64
	objects map[string]object
	keys    []string // of objects, sorted
	uploads map[string]*upload
	begun   int
}

func newStore(minPart int64) *store {
	return &store{minPart: minPart, objects: map[string]object{}, uploads: map[string]*upload{}}
}

// etag is a function of the content alone, as S3's is (there it is MD5).
func etag(data []byte) string { return etagOf(xxhash.Sum64(data), len(data)) }

func etagOf(sum uint64, length int) string { return fmt.Sprintf("%016x%08x", sum, length) }

func (s *store) do(r *request) *reply {
	switch r.op {
	case opPut:
		return s.put(r.key, object{r.data, etagOf(r.sum, len(r.data))}, r.cond)
	case opGet, opHead:
		return s.get(r)
	case opList:
		return s.list(r)
	case opDelete:
		if i, found := slices.BinarySearch(s.keys, r.key); found {
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.objects, r.key)
		}
		return &reply{}
	case opBegin:
		s.begun++
		id := fmt.Sprintf("upload-%d", s.begun)
		s.uploads[id] = &upload{key: r.key, parts: map[int32]object{}}
		return &reply{upload: id}
	}
	u := s.uploads[r.upload]
	if r.op == opAbort && (u == nil || u.key != r.key) {
		return &reply{} // as MinIO has it; AWS answers NoSuchUpload, which the port does not pass on
	}
	if u == nil || u.key != r.key {
		return &reply{code: codeNoSuchUpload}
	}
	switch r.op {
	case opPart:
		o := object{r.data, etagOf(r.sum, len(r.data))}
		u.parts[r.number] = o
		return &reply{info: port.BlobInfo{ETag: o.etag}}
	case opComplete:
		return s.complete(u, r)
	case opAbort:
		delete(s.uploads, r.upload)
		return &reply{}
	}
	panic(fmt.Sprintf("sim/s3: no operation %d", r.op))
}

// put checks the condition and puts the object in one step.
func (s *store) put(key string, o object, cond port.Condition) *reply {
	old, there := s.objects[key]
	switch {
	case cond.IfAbsent && there:
		return &reply{code: codePrecondition}
	case cond.IfMatch != "" && !there:
		return &reply{code: codeNoSuchKey}
	case cond.IfMatch != "" && old.etag != cond.IfMatch:
		return &reply{code: codePrecondition}
	}
	if !there {
		i, _ := slices.BinarySearch(s.keys, key)
		s.keys = slices.Insert(s.keys, i, key)
	}
	s.objects[key] = o
	return &reply{info: info(key, o)}
}

func (s *store) get(r *request) *reply {
	o, there := s.objects[r.key]
	if !there {
		return &reply{code: codeNoSuchKey}
	}
	a := &reply{info: info(r.key, o)}
	switch {
	case r.op == opHead:
	case !r.ranged:
		a.data = slices.Clip(o.data)
	case r.off >= int64(len(o.data)):
		return &reply{code: codeInvalidRange}
	default:
		a.data = slices.Clip(o.data[r.off:min(int64(len(o.data)), r.off+r.length)])
	}
	return a
}

// list returns the keys that begin with the prefix and come after a key.
func (s *store) list(r *request) *reply {
	a := &reply{}
	from, _ := slices.BinarySearch(s.keys, r.key)
	if r.after >= r.key {
		i, found := slices.BinarySearch(s.keys, r.after)
		if found {
			i++
		}
		from = i
	}
	for _, key := range s.keys[from:] {
		if !strings.HasPrefix(key, r.key) {
			break
		}
		if len(a.page) == r.limit {
			a.more = true
			break
		}
		a.page = append(a.page, info(key, s.objects[key]))
	}
	return a
}

// complete makes the parts that were named, in that order, one object.
func (s *store) complete(u *upload, r *request) *reply {
	var data []byte
	var last int32
	for i, want := range r.parts {
		got, there := u.parts[want.Number]
		switch {
		case want.Number <= last:
			return &reply{code: codeInvalidPartOrder}
		case !there || got.etag != want.ETag:
			return &reply{code: codeInvalidPart}
		case i < len(r.parts)-1 && int64(len(got.data)) < s.minPart:
			return &reply{code: codePartTooSmall}
		}
		last = want.Number
		data = append(data, got.data...)
	}
	if len(r.parts) == 0 {
		return &reply{code: codeInvalidPart}
	}
	a := s.put(r.key, object{data, fmt.Sprintf("%s-%d", etag(data), len(r.parts))}, r.cond)
	if a.code == codeOK {
		delete(s.uploads, r.upload)
	}
	return a
}

func info(key string, o object) port.BlobInfo {
	return port.BlobInfo{Key: key, Size: int64(len(o.data)), ETag: o.etag}
}
