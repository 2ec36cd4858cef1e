package s3

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/freshet/freshet/internal/object"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI"
	maxSkew    = 15 * time.Minute
)

// server is S3 as far as this package asks it, stricter than AWS: what it does not know it answers with NotImplemented.
type server struct {
	// before is asked first; true says that it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
	ahead  time.Duration // of its clock before ours

	mu      sync.Mutex
	buckets map[string]map[string]*stored // guarded by mu
	uploads map[string]*pending
	next    int
	asked   []string // method and query names of each request
}

type stored struct {
	data     []byte
	etag     string
	crc      string // "" of multipart objects
	modified time.Time
}

type pending struct {
	bucket, key string
	begun       time.Time
	parts       map[int]*stored
}

// newServer starts a server with buckets, over TLS if it is asked to.
func newServer(t testing.TB, secure bool, buckets ...string) (*server, string) {
	t.Helper()
	s := &server{buckets: map[string]map[string]*stored{}, uploads: map[string]*pending{}}
	for _, b := range buckets {
		s.buckets[b] = map[string]*stored{}
	}
	h := httptest.NewUnstartedServer(s)
	if secure {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return s, h.URL
}

type fault struct {
	status int
	code   string
}

func (f fault) Error() string { return f.code }

var (
	noSuchKey    = fault{404, "NoSuchKey"}
	noSuchUpload = fault{404, "NoSuchUpload"}
	invalidPart  = fault{400, "InvalidPart"}
)

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+strings.Join(slices.Sorted(maps.Keys(r.URL.Query())), " ")+r.Header.Get("If-Match"))
	before := s.before
	s.mu.Unlock()
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	w.Header().Set("X-Amz-Request-Id", "REQ1")
	if before != nil && before(w, r) {
		return
	}
	body, err := s.admit(r)
	if err == nil {
		err = s.route(w, r, body)
	}
	if err != nil {
		fail(w, r, err)
	}
}

func (s *server) now() time.Time { return time.Now().Add(s.ahead).UTC() }

func fail(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := err.(fault)
	if !ok {
		f = fault{500, "InternalError"}
	}
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>as the test has it: %v</Message></Error>`, f.code, err)
	}
}

// admit checks signature, time, hash and checksum, and returns the body without its framing.
func (s *server) admit(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.ContentLength >= 0 && int64(len(raw)) != r.ContentLength {
		return nil, fault{400, "IncompleteBody"}
	}
	if err := s.authenticate(r); err != nil {
		return nil, err
	}
	body, sum := raw, r.Header.Get("X-Amz-Checksum-Crc32")
	switch hash := r.Header.Get("X-Amz-Content-Sha256"); hash {
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		if body, sum, err = unframe(raw); err != nil {
			return nil, err
		}
		if strconv.Itoa(len(body)) != r.Header.Get("X-Amz-Decoded-Content-Length") {
			return nil, fault{400, "IncompleteBody"}
		}
	case "UNSIGNED-PAYLOAD": // over TLS, of empty bodies
	default:
		if have := sha256.Sum256(raw); hash != hex.EncodeToString(have[:]) {
			return nil, fault{400, "XAmzContentSHA256Mismatch"}
		}
	}
	if sum == "" && r.Method == http.MethodPut && len(body) > 0 || sum != "" && sum != crcOf(body) {
		return nil, fault{400, "BadDigest"}
	}
	return body, nil
}

func crcOf(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)))
}

// unframe undoes aws-chunked.
func unframe(raw []byte) (body []byte, sum string, err error) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for {
		line, err := in.ReadString('\n')
		size, bad := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil || bad != nil {
			return nil, "", fault{400, "IncompleteBody"}
		}
		if size == 0 {
			break
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, "", fault{400, "IncompleteBody"}
		}
		body = append(body, chunk[:size]...)
	}
	trailer, _ := in.ReadString('\n')
	name, value, _ := strings.Cut(strings.TrimSpace(trailer), ":")
	if name != "x-amz-checksum-crc32" {
		return nil, "", fault{400, "MalformedTrailerError"}
	}
	return body, value, nil
}

// authenticate signs the request again, with what it claims, and compares.
func (s *server) authenticate(r *http.Request) error {
	said := r.Header.Get("Authorization")
	_, scope, _ := strings.Cut(said, "Credential=")
	parts := strings.Split(scope, "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(parts) < 5 || parts[3] != "s3" {
		return fault{403, "AccessDenied"}
	}
	if parts[0] != testKey {
		return fault{403, "InvalidAccessKeyId"}
	}
	if skew := s.now().Sub(at); skew > maxSkew || skew < -maxSkew {
		return fault{403, "RequestTimeTooSkewed"}
	}
	again := r.Clone(r.Context())
	again.Header = http.Header{}
	_, signed, _ := strings.Cut(said, "SignedHeaders=")
	signed, _, _ = strings.Cut(signed, ",")
	for _, h := range strings.Split(signed, ";") {
		if values := r.Header.Values(h); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(h)] = values
		}
	}
	again.URL.Host = r.Host
	if !strings.Contains(signed, "content-length") {
		again.ContentLength = -1
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(r.Context(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, again, r.Header.Get("X-Amz-Content-Sha256"), "s3", parts[2], at); err != nil {
		return err
	}
	if again.Header.Get("Authorization") != said {
		return fault{403, "SignatureDoesNotMatch"}
	}
	return nil
}

func (s *server) route(w http.ResponseWriter, r *http.Request, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	query.Del("x-id")
	if bucket == "" {
		return s.listBuckets(w)
	}
	objects, ok := s.buckets[bucket]
	if !ok && key == "" && r.Method == http.MethodPut {
		s.buckets[bucket] = map[string]*stored{}
		return nil
	}
	if !ok {
		return fault{404, "NoSuchBucket"}
	}
	if len(key) > object.MaxKeyBytes {
		return fault{400, "KeyTooLongError"}
	}
	asked := r.Method + " " + strings.Join(slices.Sorted(maps.Keys(query)), " ")
	switch {
	case key == "" && r.Method == http.MethodGet && query.Get("list-type") == "2":
		return list(w, objects, query)
	case key == "" && asked == "GET encoding-type key-marker prefix upload-id-marker uploads", key == "" && asked == "GET encoding-type prefix uploads":
		return s.listUploads(w, bucket, query)
	case key == "":
		return fault{501, "NotImplemented"}
	case asked == "GET ", asked == "HEAD ":
		return get(w, r, objects[key])
	case asked == "PUT ":
		objects[key] = s.store(body)
		w.Header().Set("ETag", objects[key].etag)
		return nil
	case asked == "DELETE ":
		delete(objects, key)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return s.routeUpload(w, asked, bucket, key, query, body)
}

func (s *server) store(data []byte) *stored {
	sum := md5.Sum(data)
	return &stored{data: data, etag: `"` + hex.EncodeToString(sum[:]) + `"`, crc: crcOf(data), modified: s.now()}
}

func (s *server) listBuckets(w http.ResponseWriter) error {
	fmt.Fprint(w, `<ListAllMyBucketsResult><Buckets>`)
	for _, b := range slices.Sorted(maps.Keys(s.buckets)) {
		fmt.Fprintf(w, `<Bucket><Name>%s</Name></Bucket>`, b)
	}
	fmt.Fprint(w, `</Buckets></ListAllMyBucketsResult>`)
	return nil
}

// list answers ListObjectsV2. The token is the last key of the page before.
func list(w http.ResponseWriter, objects map[string]*stored, query url.Values) error {
	limit, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || limit < 1 || limit > 1000 {
		return fault{400, "InvalidArgument"}
	}
	after := query.Get("start-after")
	if token := query.Get("continuation-token"); token != "" {
		text, err := hex.DecodeString(token)
		if after = string(text); err != nil {
			return fault{400, "InvalidArgument"}
		}
	}
	encode := func(text string) string { return text }
	if query.Get("encoding-type") == "url" {
		encode = url.QueryEscape
		fmt.Fprint(w, `<ListBucketResult><EncodingType>url</EncodingType>`)
	} else {
		fmt.Fprint(w, `<ListBucketResult>`)
	}
	prefix, delimiter, last, count, truncated := query.Get("prefix"), query.Get("delimiter"), "", 0, false
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(key, prefix) || key <= after || strings.HasSuffix(after, "\xff") && strings.HasPrefix(key, strings.TrimSuffix(after, "\xff")) {
			continue
		}
		common := ""
		if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			common = key[:len(prefix)+i+len(delimiter)]
			if last == common+"\xff" {
				continue
			}
		}
		if count == limit {
			truncated = true
			break
		}
		if count++; common != "" {
			last = common + "\xff"
			fmt.Fprintf(w, `<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>`, encode(common))
			continue
		}
		last = key
		o := objects[key]
		fmt.Fprint(w, `<Contents><Key>`)
		_ = xml.EscapeText(w, []byte(encode(key)))
		fmt.Fprintf(w, `</Key><LastModified>%s</LastModified><Size>%d</Size></Contents>`, o.modified.Format("2006-01-02T15:04:05.000Z"), len(o.data))
	}
	if truncated {
		fmt.Fprintf(w, `<NextContinuationToken>%s</NextContinuationToken>`, hex.EncodeToString([]byte(last)))
	}
	fmt.Fprintf(w, `<IsTruncated>%v</IsTruncated><KeyCount>%d</KeyCount></ListBucketResult>`, truncated, count)
	return nil
}

// uploadsPage is how many uploads a listing has at most.
const uploadsPage = 100

// listUploads answers ListMultipartUploads, by keys, those of a key by ids.
func (s *server) listUploads(w http.ResponseWriter, bucket string, query url.Values) error {
	type name struct{ key, id string }
	var found []name
	for id, u := range s.uploads {
		if u.bucket == bucket && strings.HasPrefix(u.key, query.Get("prefix")) {
			found = append(found, name{u.key, id})
		}
	}
	slices.SortFunc(found, func(a, b name) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) })
	fmt.Fprint(w, `<ListMultipartUploadsResult><EncodingType>url</EncodingType>`)
	written := 0
	for i, n := range found {
		if marker := query.Get("key-marker"); n.key < marker || n.key == marker && n.id <= query.Get("upload-id-marker") {
			continue
		}
		fmt.Fprintf(w, `<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>`, url.QueryEscape(n.key), n.id,
			s.uploads[n.id].begun.UTC().Format("2006-01-02T15:04:05.000Z"))
		if written++; written == uploadsPage && i < len(found)-1 {
			fmt.Fprintf(w, `<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker><IsTruncated>true</IsTruncated>`, url.QueryEscape(n.key), n.id)
			break
		}
	}
	fmt.Fprint(w, `</ListMultipartUploadsResult>`)
	return nil
}

func get(w http.ResponseWriter, r *http.Request, o *stored) error {
	if o == nil {
		return noSuchKey
	}
	if match := r.Header.Get("If-Match"); match != "" && match != o.etag {
		return fault{412, "PreconditionFailed"}
	}
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Last-Modified", o.modified.Format(http.TimeFormat))
	data := o.data
	said := r.Header.Get("Range")
	if said != "" {
		var first, last int
		if n, _ := fmt.Sscanf(said, "bytes=%d-%d", &first, &last); n == 1 || last >= len(data) {
			last = len(data) - 1
		}
		if first >= len(data) {
			return fault{416, "InvalidRange"}
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
		data = data[first : last+1]
	} else if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && o.crc != "" {
		w.Header().Set("X-Amz-Checksum-Crc32", o.crc)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	if said != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
	return nil
}

func (s *server) routeUpload(w http.ResponseWriter, asked, bucket, key string, query url.Values, body []byte) error {
	if asked == "POST uploads" {
		s.next++
		id := fmt.Sprintf("upload%d", s.next)
		s.uploads[id] = &pending{bucket, key, s.now(), map[int]*stored{}}
		fmt.Fprintf(w, `<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>`, id)
		return nil
	}
	id := query.Get("uploadId")
	u := s.uploads[id]
	if u == nil || u.bucket != bucket || u.key != key {
		return noSuchUpload
	}
	switch asked {
	case "PUT partNumber uploadId":
		number, err := strconv.Atoi(query.Get("partNumber"))
		if err != nil || number < 1 || number > object.MaxParts {
			return fault{400, "InvalidArgument"}
		}
		u.parts[number] = s.store(body)
		w.Header().Set("ETag", u.parts[number].etag)
		return nil
	case "POST uploadId":
		o, err := s.assemble(u, body)
		if err != nil {
			return err
		}
		delete(s.uploads, id)
		s.buckets[bucket][key] = o
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>`, o.etag)
		return nil
	case "DELETE uploadId":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return fault{501, "NotImplemented"}
}

func (s *server) assemble(u *pending, body []byte) (*stored, error) {
	var wanted struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &wanted); err != nil || len(wanted.Part) == 0 {
		return nil, fault{400, "MalformedXML"}
	}
	var data []byte
	for i, p := range wanted.Part {
		have := u.parts[p.PartNumber]
		switch {
		case have == nil || have.etag != p.ETag:
			return nil, invalidPart
		case i > 0 && wanted.Part[i-1].PartNumber >= p.PartNumber:
			return nil, fault{400, "InvalidPartOrder"}
		case i < len(wanted.Part)-1 && len(have.data) < object.MinPartBytes:
			return nil, fault{400, "EntityTooSmall"}
		}
		data = append(data, have.data...)
	}
	o := s.store(data)
	o.etag, o.crc = strings.TrimSuffix(o.etag, `"`)+fmt.Sprintf(`-%d"`, len(wanted.Part)), ""
	return o, nil
}
