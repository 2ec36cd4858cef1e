package app

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/govern/jwt"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
)

// The bounds of Config.KafkaOAuthSkew.
const (
	minSkew = time.Second
	maxSkew = 10 * time.Minute
)

// userName is what IAM calls a user.
var userName = regexp.MustCompile(`^[\w+=.@-]{1,64}$`)

func has(mechanism string) func(kafkaListener) bool {
	return func(l kafkaListener) bool { return slices.Contains(l.mechanisms, mechanism) }
}

// iamListeners says whether Kafka clients may sign with access keys.
func (c *Config) iamListeners() bool {
	return slices.ContainsFunc(c.kafkaListeners(&validation{}), has(mechanismIAM))
}

// validateTokens checks what listeners with OAUTHBEARER and AWS_MSK_IAM need.
func (c *Config) validateTokens(v *validation, all []kafkaListener) {
	oauth, iam := slices.ContainsFunc(all, has(mechanismOAuth)), slices.ContainsFunc(all, has(mechanismIAM))
	if iam && len(c.AccessKeys) == 0 {
		v.wrong("access-keys", "none is given, so nobody could sign for a listener with "+mechanismIAM, "give --access-keys ID:SECRET")
	}
	for _, l := range all {
		if has(mechanismOAuth)(l) && !has(mechanismIAM)(l) && c.KafkaOAuthJWKS == "" && !c.KafkaOAuthUnsecured {
			v.wrong("kafka-oauth-jwks", "no token for "+mechanismOAuth+" of listener "+l.name+" could be checked", "give the issuer's keys with --kafka-oauth-jwks FILE or URL")
		}
	}
	set := c.KafkaOAuthJWKS != "" || c.KafkaOAuthIssuer != "" || len(c.KafkaOAuthAudience) > 0 || len(c.KafkaOAuthScopes) > 0 || c.KafkaOAuthUnsecured
	if set && !oauth {
		v.wrong("kafka-oauth-jwks", "no listener has "+mechanismOAuth, "give one the mechanism with --kafka-sasl-mechanisms, or leave out what is about tokens")
	}
	if c.KafkaOAuthUnsecured && slices.ContainsFunc(all, func(l kafkaListener) bool { return has(mechanismOAuth)(l) && !isLoopback(l.address) }) && !c.Insecure {
		v.wrong("kafka-oauth-unsecured", "other machines could make tokens for themselves", "bind to a loopback address, or allow it with --insecure")
	}
	if c.KafkaOAuthSkew < minSkew || c.KafkaOAuthSkew > maxSkew {
		v.wrong("kafka-oauth-skew", c.KafkaOAuthSkew.String()+" is out of bounds", fmt.Sprintf("give %s to %s", minSkew, maxSkew))
	}
	c.validateJWKS(v)
}

func (c *Config) validateJWKS(v *validation) {
	if c.KafkaOAuthJWKS == "" {
		return
	}
	if !strings.Contains(c.KafkaOAuthJWKS, "://") {
		if _, err := os.Stat(c.KafkaOAuthJWKS); err != nil {
			v.wrong("kafka-oauth-jwks", err.Error(), "name a file with a JWKS, or an https URL")
		}
		return
	}
	u, err := url.Parse(c.KafkaOAuthJWKS)
	fine := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && (isLoopback(u.Host) || isLoopback(u.Host+":80") || c.Insecure))
	if !fine {
		v.wrong("kafka-oauth-jwks", fmt.Sprintf("%q is no https URL", c.KafkaOAuthJWKS), "give one: keys that come unencrypted could be anybody's")
	}
}

// validateKeyUsers checks whose the access keys are.
func (c *Config) validateKeyUsers(v *validation, keys map[string]bool) {
	seen := map[string]bool{}
	for _, text := range c.AccessKeyUsers {
		id, name, _ := strings.Cut(text, ":")
		if !keys[id] || seen[id] || !userName.MatchString(name) {
			v.wrong("access-key-users", fmt.Sprintf("%q does not give one user to one of the access keys", text), "write the access key id, a colon and the user's name")
		}
		seen[id] = true
	}
}

// keys returns the access keys by id.
func (c *Config) keys() map[string]aws.Key {
	keys := map[string]aws.Key{}
	for _, text := range c.AccessKeys {
		id, secret, _ := strings.Cut(text, ":")
		keys[id] = aws.Key{Secret: secret}
	}
	for _, text := range c.AccessKeyUsers {
		id, name, _ := strings.Cut(text, ":")
		key := keys[id]
		key.User = name
		keys[id] = key
	}
	return keys
}

// accessKeys are the front door's for Kafka listeners.
type accessKeys map[string]aws.Key

// Find implements sasl.AccessKeys.
func (a accessKeys) Find(id string) (secret, arn string, known bool) {
	key, known := a[id]
	return key.Secret, aws.UserARN(aws.DefaultAccount, key.User), known
}

// openTokens returns what knows the tokens of an issuer, nil if no keys of one are given.
func (n *Node) openTokens() (sasl.Tokens, error) {
	c := &n.config
	if c.KafkaOAuthJWKS == "" && !c.KafkaOAuthUnsecured {
		return nil, nil //nolint:nilnil // no tokens of an issuer are taken
	}
	verifier := jwt.Config{
		Issuer: c.KafkaOAuthIssuer, Audience: c.KafkaOAuthAudience, Scopes: c.KafkaOAuthScopes, SubjectClaim: c.KafkaOAuthSubject, Skew: c.KafkaOAuthSkew,
		Unsecured: c.KafkaOAuthUnsecured, Clock: n.deps.Clock,
	}
	logger := n.logger.With(partKey, "tokens")
	switch {
	case c.KafkaOAuthJWKS == "":
	case strings.Contains(c.KafkaOAuthJWKS, "://"):
		verifier.Keys = jwt.URLKeys(c.KafkaOAuthJWKS, nil, n.deps.Clock, logger)
	default:
		keys, err := jwt.FileKeys(c.KafkaOAuthJWKS, n.deps.Clock, logger, &n.files)
		if err != nil {
			return nil, &ConfigError{Key: "kafka-oauth-jwks", Wrong: err.Error(), Remedy: "give a JWKS with public keys"}
		}
		verifier.Keys = keys
	}
	return sasl.JWTs(jwt.New(verifier)), nil
}
