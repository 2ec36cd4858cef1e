package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/object"
)

// errCallTimeout ends a call that has used up its time.
var errCallTimeout = fmt.Errorf("%w: no answer in time", object.ErrUnavailable)

// Error is what S3 answered, or why it could not be asked.
type Error struct {
	Doing     string // what was wanted
	Kind      error  // one of package object's
	Code      string // S3's; "" if there was no answer
	Text      string
	RequestID string // S3's name of the last attempt; "" if there was no answer

	cause error
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("S3: %s: %v: ", e.Doing, e.Kind)
	if e.Code != "" {
		text += e.Code + ": "
	}
	text += e.Text
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Unwrap returns the kind, and what the SDK said.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.cause} }

// code returns what S3 calls an error, or "".
func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// kinds are the codes of S3 that decide more than their status does.
var kinds = map[string]error{
	"NoSuchUpload":         object.ErrNoUpload,
	"InvalidPart":          object.ErrInvalid,
	"InvalidPartOrder":     object.ErrInvalid,
	"EntityTooSmall":       object.ErrInvalid,
	"RequestTimeTooSkewed": object.ErrDenied,
	"ExpiredToken":         object.ErrDenied,
	"InvalidToken":         object.ErrDenied,
	"RequestTimeout":       object.ErrUnavailable,
	"PreconditionFailed":   object.ErrNotFound, // of reading on: the version is gone
	"InvalidRange":         object.ErrRange,
	"SlowDown":             object.ErrUnavailable,
}

// judge returns err as one of package object's, nil for nil, the cause of ctx if that has ended.
func judge(ctx context.Context, err error, doing string) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("S3: %s: %w", doing, cause)
	}
	e := &Error{Doing: doing, Kind: object.ErrUnavailable, Text: err.Error(), cause: err}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		e.RequestID = response.ServiceRequestID()
		e.Kind = kindOfStatus(response.HTTPStatusCode())
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Text = api.ErrorCode(), api.ErrorMessage()
		if kind := kinds[e.Code]; kind != nil {
			e.Kind = kind
		}
	} else {
		e.explain(err)
	}
	if response != nil && (response.HTTPStatusCode() == http.StatusMovedPermanently || e.Code == "AuthorizationHeaderMalformed") {
		if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			e.Text += " The bucket is in region " + region + "."
		}
	}
	if e.Text == "" {
		e.Text = "no more is said"
	}
	return e
}

// kindOfStatus returns what an answer means whose code does not decide.
func kindOfStatus(status int) error {
	switch {
	case status == http.StatusNotFound:
		return object.ErrNotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return object.ErrDenied
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError, status < http.StatusMultipleChoices:
		return object.ErrUnavailable // a success that is an error is an answer that could not be read
	}
	return object.ErrInvalid
}

// explain says why there is no answer, or none that can be read, without what the SDK says around it.
func (e *Error) explain(err error) {
	var missing *credentialsError
	if errors.As(err, &missing) {
		e.Kind, e.Text = object.ErrDenied, "no credentials: "+missing.Error()
		return
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		e.Text = inner.Error()
	}
}

// marked tells credentials that cannot be had from other errors.
type marked struct{ aws.CredentialsProvider }

type credentialsError struct{ error }

// Unwrap returns what the chain said.
func (e *credentialsError) Unwrap() error { return e.error }

// Retrieve implements aws.CredentialsProvider.
func (m marked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := m.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &credentialsError{err}
	}
	return c, err
}
