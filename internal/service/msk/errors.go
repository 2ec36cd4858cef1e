package msk

import (
	"fmt"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// fault returns an error about a member of the request, which AWS names beside the message.
func fault(code, member, format string, args ...any) *aws.Error {
	e := &aws.Error{Code: code, Message: fmt.Sprintf(format, args...)}
	if member != "" {
		e.Fields = map[string]string{"invalidParameter": member}
	}
	return e
}

func badRequest(member, format string, args ...any) *aws.Error {
	return fault(api.ErrBadRequest, member, format, args...)
}

func notFound(member, format string, args ...any) *aws.Error {
	return fault(api.ErrNotFound, member, format, args...)
}

func errNameTaken(member string) *aws.Error {
	return fault(api.ErrConflict, member, "A resource with this name already exists.")
}

// value is what an absent member stands for.
func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}
