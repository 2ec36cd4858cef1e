// Package secrets is AWS Secrets Manager on a node, as far as programs keep passwords in it: secrets with versions and their staging labels, scheduled
// deletion, tags. Service is its entry; Value is how other services of the node read a secret.
//
// Secrets are kept in the node's state as they are: the KMS key of a secret is stored and answered, and encrypts nothing.
//
// It refuses to rotate and to replicate secrets, and to have policies: those operations are answered as not implemented.
package secrets
