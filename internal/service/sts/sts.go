// Package sts is the AWS Security Token Service of a node, as far as clients ask for it before anything else: GetCallerIdentity, which tells who
// the front door took the caller for. There are no users and roles yet, so every caller is the root of its account.
//
// It refuses to issue credentials: the other operations are answered as not implemented.
package sts

import (
	"context"

	"github.com/freshet/freshet/internal/protocol/aws"
	model "github.com/freshet/freshet/internal/protocol/aws/model/sts"
)

// API returns the service for the front door.
func API() aws.Service {
	return aws.Service{
		Model:      model.Model,
		Ledger:     aws.Ledger{}, // GetCallerIdentity has no input
		Operations: []aws.Operation{aws.Handle("GetCallerIdentity", getCallerIdentity)},
	}
}

// getCallerIdentity cannot fail: AWS grants it to whoever has valid credentials.
func getCallerIdentity(_ context.Context, call *aws.Call, _ *model.GetCallerIdentityRequest) (*model.GetCallerIdentityResponse, error) {
	return &model.GetCallerIdentityResponse{
		UserId:  &call.Account, // AWS's user id of an account's root is the account
		Account: &call.Account,
		Arn:     new(aws.RootARN(call.Account)),
	}, nil
}
