package sasl

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/sigv4"
)

// AccessKeys are the keys whose holders are known.
type AccessKeys interface {
	// Find returns the secret of a key, and the ARN of whoever has it.
	Find(id string) (secret, arn string, known bool)
}

// What clients of Amazon MSK sign: a request to connect, to a service of this name.
const (
	iamService = "kafka-cluster"
	iamAction  = "kafka-cluster:Connect"
	iamVersion = "2020_10_22"
)

// maxIAMExpiry bounds how long a signature may be good for: clients ask for 5 or 15 minutes.
const maxIAMExpiry = 15 * time.Minute

// iam verifies the signatures of AWS's clients.
type iam struct {
	keys   AccessKeys
	clock  clock.Clock
	random io.Reader
}

// MSKIAM returns the mechanism AWS_MSK_IAM: the client signs a request to connect with its access key (Signature Version 4), and sends what it has signed
// as one JSON object. Amazon has not published it; the form is that of aws-msk-iam-auth.
func MSKIAM(keys AccessKeys, c clock.Clock, random io.Reader) Mechanism {
	return &iam{keys, c, random}
}

// IAMTokens returns the tokens of MSK's signers for OAUTHBEARER: a URL that is signed like that, in base 64.
func IAMTokens(keys AccessKeys, c clock.Clock) Tokens { return iamTokens{&iam{keys: keys, clock: c}} }

// Name implements Mechanism.
func (*iam) Name() string { return "AWS_MSK_IAM" }

// Begin implements Mechanism.
func (i *iam) Begin(peer Peer) Exchange { return &iamExchange{i, peer} }

type iamExchange struct {
	*iam
	peer Peer
}

// Step implements Exchange.
func (i *iamExchange) Step(_ context.Context, message []byte) ([]byte, *Identity, error) {
	request, failure := parseIAM(message)
	if failure != nil {
		return nil, nil, failure
	}
	key := claimedKey(request)
	if err := i.peer.admit(key); err != nil {
		return nil, nil, err
	}
	who, _, err := i.verify(request)
	if err != nil {
		return nil, nil, ofUser(err, key)
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(i.random, id); err != nil {
		return nil, nil, err
	}
	answer, err := json.Marshal(map[string]string{"version": iamVersion, "request-id": hex.EncodeToString(id)})
	return answer, who, err
}

// iamNames are the members of the JSON object that were signed as parameters of a query, and how they are spelt there.
var iamNames = map[string]string{
	"action": "Action", "x-amz-algorithm": "X-Amz-Algorithm", "x-amz-credential": "X-Amz-Credential", "x-amz-date": "X-Amz-Date",
	"x-amz-expires": "X-Amz-Expires", "x-amz-security-token": "X-Amz-Security-Token", "x-amz-signature": "X-Amz-Signature", "x-amz-signedheaders": "X-Amz-SignedHeaders",
}

func deny(reason string) *Failure { return &Failure{Text: "Access denied", Reason: reason} }

// parseIAM returns the request that a client has signed.
func parseIAM(message []byte) (*http.Request, *Failure) {
	var members map[string]string
	if err := json.Unmarshal(message, &members); err != nil {
		return nil, deny("the message is no JSON object of texts")
	}
	if members["version"] != iamVersion {
		return nil, deny("the message has another version than " + iamVersion)
	}
	if members["host"] == "" {
		return nil, deny("the message names no host")
	}
	query := url.Values{}
	for name, value := range members {
		if spelt := iamNames[name]; spelt != "" {
			query.Set(spelt, value)
		}
	}
	return signedRequest(members["host"], query.Encode()), nil
}

func signedRequest(host, query string) *http.Request {
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host, Path: "/", RawQuery: query}, RequestURI: "/?" + query, Host: host, Header: http.Header{},
	}
}

// claimedKey returns the access key that a request says it was signed with; "" = it does not say.
func claimedKey(r *http.Request) string {
	s, err := sigv4.Parse(r)
	if err != nil {
		return ""
	}
	return s.AccessKey
}

// verify returns who has signed a request to connect, and until when that is good.
func (i *iam) verify(r *http.Request) (*Identity, time.Time, error) {
	if actions := r.URL.Query()["Action"]; !slices.Equal(actions, []string{iamAction}) {
		return nil, time.Time{}, deny("what was signed is not " + iamAction)
	}
	s, err := sigv4.Parse(r)
	if err == nil {
		err = s.Admit(r, i.clock.Now(), iamService)
	}
	if err != nil {
		return nil, time.Time{}, denied(err)
	}
	if !s.Presigned || s.Expires > maxIAMExpiry {
		return nil, time.Time{}, deny("the signature is good for longer than " + maxIAMExpiry.String())
	}
	secret, arn, known := i.keys.Find(s.AccessKey)
	if !known {
		return nil, time.Time{}, deny("the access key is not known")
	}
	if err := s.Verify(r, secret, nil); err != nil {
		return nil, time.Time{}, deny("the signature was not made with the access key's secret")
	}
	return &Identity{Principal: principal.Of(arn)}, s.End(), nil
}

// denied makes a fault of a signature a *Failure.
func denied(err error) error {
	if fault := (*sigv4.Fault)(nil); errors.As(err, &fault) {
		return deny(fault.Text)
	}
	return err
}

// iamTokens are URLs that were signed.
type iamTokens struct{ *iam }

// Claimed implements Tokens.
func (i iamTokens) Claimed(token string) string {
	request, failure := parseIAMToken(token)
	if failure != nil {
		return ""
	}
	return claimedKey(request)
}

// Verify implements Tokens.
func (i iamTokens) Verify(_ context.Context, token string) (*Identity, error) {
	request, failure := parseIAMToken(token)
	if failure != nil {
		return nil, failure
	}
	who, end, err := i.verify(request)
	if err != nil {
		if failure := (*Failure)(nil); errors.As(err, &failure) {
			failure.Text = refusedToken
		}
		return nil, err
	}
	who.Expires = end
	return who, nil
}

// parseIAMToken returns the request that a token stands for. The signers add who they are to the URL after they have signed it.
func parseIAMToken(token string) (*http.Request, *Failure) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(token, "="))
	if err != nil {
		return nil, refuse("the token is not in base 64")
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "https" || u.Path != "/" && u.Path != "" || u.User != nil || u.Fragment != "" {
		return nil, refuse("the token is no URL of a regional endpoint")
	}
	if host := u.Host; !strings.HasPrefix(host, "kafka.") || !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn") {
		return nil, refuse("the token is for the host " + host)
	}
	parameters := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(p string) bool { return strings.HasPrefix(p, "User-Agent=") })
	return signedRequest(u.Host, strings.Join(parameters, "&")), nil
}

// signedURL is how tokens of MSK's signers begin: https://kafka. in base 64.
const signedURL = "aHR0cHM6Ly9rYWZrYS"

// either are tokens of two kinds.
type either struct{ iam, others Tokens }

// Either returns the tokens of MSK's signers beside others. Either may be nil.
func Either(iam, others Tokens) Tokens { return either{iam, others} }

// Verify implements Tokens.
func (e either) Verify(ctx context.Context, token string) (*Identity, error) {
	kind := e.kind(token)
	if kind == nil {
		return nil, refuse("tokens of its kind are not taken here")
	}
	return kind.Verify(ctx, token)
}

// Claimed implements Tokens.
func (e either) Claimed(token string) string {
	kind := e.kind(token)
	if kind == nil {
		return ""
	}
	return kind.Claimed(token)
}

func (e either) kind(token string) Tokens {
	if strings.HasPrefix(token, signedURL) {
		return e.iam
	}
	return e.others
}
