package main

import (
	"maps"
	"time"

	"github.com/freshet/freshet/internal/app"
)

// securitySettings adds the settings about Kafka's listeners to a configuration, and to the texts that mean it.
func securitySettings(c *app.Config, values map[string]string) {
	c.KafkaListeners = []string{"A://h:1", "B://h:2"}
	c.KafkaAdvertisedListeners = []string{"A://g:1", "B://g:2"}
	c.KafkaSecurityProtocols = []string{"A:SSL", "B:SASL_SSL"}
	c.KafkaClientCertificates = []string{"A:required"}
	c.KafkaPrincipalRules = "RULE:^CN=([^,]+),.*$/$1/L,DEFAULT"
	c.TLSCertificate, c.TLSKey, c.TLSClientCA = "main.go", "exit.go", "ca.go" // files that are there
	c.KafkaSASLMechanisms, c.KafkaUsers, c.KafkaMaxReauth = []string{"B:PLAIN+OAUTHBEARER"}, []string{"a:b", "c:d:e"}, time.Hour
	off := false
	c.KafkaDelegationTokens = &off
	c.AccessKeyUsers = []string{"a:u"}
	const authority = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/1=ca.go"
	c.MSKAuthorities = []string{authority}
	c.KafkaOAuthJWKS, c.KafkaOAuthIssuer, c.KafkaOAuthAudience, c.KafkaOAuthScopes = "main.go", "i", []string{"x", "y"}, []string{"z"}
	c.KafkaOAuthSubject, c.KafkaOAuthSkew, c.KafkaOAuthUnsecured = "s", time.Minute, true
	maps.Copy(values, map[string]string{
		"kafka-listeners": "A://h:1,B://h:2", "kafka-advertised-listeners": "A://g:1,B://g:2", "kafka-security-protocols": "A:SSL,B:SASL_SSL",
		"kafka-client-certificates": "A:required", "kafka-principal-rules": "RULE:^CN=([^,]+),.*$/$1/L,DEFAULT",
		"kafka-sasl-mechanisms": "B:PLAIN+OAUTHBEARER", "kafka-users": "a:b,c:d:e", "kafka-max-reauth": "1h0m0s", "kafka-delegation-tokens": "false",
		"msk-authorities": authority, "access-key-users": "a:u", "kafka-oauth-jwks": "main.go", "kafka-oauth-issuer": "i", "kafka-oauth-audience": "x,y", "kafka-oauth-scopes": "z",
		"kafka-oauth-subject": "s", "kafka-oauth-skew": "1m0s", "kafka-oauth-unsecured": "true",
		"tls-certificate": "main.go", "tls-key": "exit.go", "tls-client-ca": "ca.go",
	})
}
