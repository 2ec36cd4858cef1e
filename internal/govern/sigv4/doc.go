// Package sigv4 reads and verifies AWS Signature Version 4, in the Authorization header and in the query string of presigned requests.
//
// Parse finds the Signature of a request, Signature.Admit checks all but the secret, and Signature.Verify compares it with one made of a secret
// key. What is wrong is a *Fault whose kind and text are AWS's; which error code that becomes is the caller's affair, for it differs between
// protocols. The request is verified as it arrived: the raw target and the header values, before anything decodes them.
//
// The package refuses to know whose key it is, S3's payload streaming and SigV4a.
package sigv4
