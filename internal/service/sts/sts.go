// Package sts is the AWS Security Token Service of a node, as far as clients ask for it before anything else: GetCallerIdentity, which tells who
// the front door took the caller for: the IAM user whom the configuration gives an access key to, or the root of the key's account. There are no roles yet.
//
// It refuses to issue credentials: the other operations are answered as not implemented.
package sts

import (
	"context"
	"crypto/sha256"
	"encoding/base32"

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
		UserId:  new(userID(call.Account, call.User)),
		Account: &call.Account,
		Arn:     new(aws.UserARN(call.Account, call.User)),
	}, nil
}

// userID returns the unique id of a user: always the same for a name, in AWS's form of AIDA and 17 letters and digits. That of an account's root is the account.
func userID(account, user string) string {
	if user == "" {
		return account
	}
	hash := sha256.Sum256([]byte(account + "/" + user))
	return "AIDA" + base32.StdEncoding.EncodeToString(hash[:])[:17]
}
