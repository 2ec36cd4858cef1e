package aws

import (
	"errors"
	"fmt"
)

// Error is an AWS error: what a client sees when an operation fails.
type Error struct {
	// Code is the wire name, e.g. ResourceNotFoundException; the generated packages have a constant for each that the model declares.
	Code    string
	Message string
	// Status is the HTTP status; 0 means the model's for this code, else 400.
	Status int
	// Fields are the error's further members, as the model names them.
	Fields map[string]string
	// capitalMessage spells the member Message, as the front end of Kinesis does for what it finds before the service is reached.
	capitalMessage bool
}

// Errorf returns an error with the code and the formatted message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns code and message, for logs.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is makes errors.Is match on the code, so that &Error{Code: c} stands for every error of the code.
func (e *Error) Is(target error) bool {
	t, ok := errors.AsType[*Error](target)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}
