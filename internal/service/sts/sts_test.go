package sts

import (
	"regexp"
	"testing"

	"github.com/freshet/freshet/internal/protocol/aws"
)

func TestLedgerIsComplete(t *testing.T) {
	api := API()
	if wrong := api.Ledger.Check(api); len(wrong) > 0 {
		t.Error(wrong)
	}
}

func TestCallersAreTheRootOfTheirAccount(t *testing.T) {
	out, err := getCallerIdentity(t.Context(), &aws.Call{Account: "123456789012"}, nil)
	if err != nil || *out.Arn != "arn:aws:iam::123456789012:root" || *out.Account != "123456789012" || *out.UserId != "123456789012" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestCallersAreTheUsersOfTheirKeys(t *testing.T) {
	out, err := getCallerIdentity(t.Context(), &aws.Call{Account: "123456789012", User: "alice"}, nil)
	if err != nil || *out.Arn != "arn:aws:iam::123456789012:user/alice" || *out.Account != "123456789012" || !regexp.MustCompile("^AIDA[A-Z2-7]{17}$").MatchString(*out.UserId) {
		t.Errorf("%+v, %v", out, err)
	}
	other, err := getCallerIdentity(t.Context(), &aws.Call{Account: "123456789012", User: "bob"}, nil)
	if err != nil || *other.UserId == *out.UserId {
		t.Errorf("%+v, %v", other, err)
	}
}
