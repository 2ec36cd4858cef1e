package aws

import (
	"errors"
	"net/http"

	"github.com/freshet/freshet/internal/govern/sigv4"
)

// DefaultAccount owns everything that no access key assigns to another account.
const DefaultAccount = "000000000000"

// Auth says who may call.
type Auth struct {
	// Verify demands that each request is signed with the secret of a key in Keys. Unset, any well-formed signature will do.
	Verify bool
	// Keys are the known access keys, by id.
	Keys map[string]Key
	// Account owns the keys that name none; "" means DefaultAccount.
	Account string
}

// Key is one access key.
type Key struct {
	Secret  string
	Account string // 12 digits; "" means Auth.Account
	User    string // the IAM user who has it; "" means the account's root
}

// authenticate checks the signature and fills in the call. It returns nil, or the error in the words of the request's protocol.
func (x *exchange) authenticate() *Error {
	x.call = Call{Operation: x.operationName, RequestID: x.id, Client: x.r.RemoteAddr, Header: x.r.Header, Region: x.region, AccessKey: x.accessKey}
	x.call.Service = x.service.Model.Info.EndpointName
	auth := &x.door.config.Auth
	x.call.Account = auth.Account
	signature, err := sigv4.Parse(x.r)
	switch {
	case err != nil:
	case auth.Verify:
		err = signature.Admit(x.r, x.door.config.Clock.Now(), x.service.Model.Info.SigningName)
	default:
		err = signature.WellFormed()
	}
	if err != nil {
		return x.authError(err)
	}
	x.call.AccessKey, x.call.Region = signature.AccessKey, signature.Region
	key, known := auth.Keys[signature.AccessKey]
	if known && key.Account != "" {
		x.call.Account = key.Account
	}
	x.call.User = key.User
	switch {
	case !auth.Verify:
		return nil
	case !known:
		return x.unknownKey()
	}
	if err := signature.Verify(x.r, key.Secret, x.wire); err != nil {
		return x.authError(err)
	}
	return nil
}

// authError turns a fault of the signature into the error code of the protocol.
func (x *exchange) authError(err error) *Error {
	fault, ok := errors.AsType[*sigv4.Fault](err)
	if !ok {
		panic(err) // sigv4 returns nothing else
	}
	e := &Error{Message: fault.Text}
	if x.encoding.form {
		switch fault.Kind {
		case sigv4.Missing:
			e.Code, e.Status = "MissingAuthenticationToken", http.StatusForbidden
		case sigv4.Incomplete:
			e.Code, e.Status = "IncompleteSignature", http.StatusBadRequest
		default:
			e.Code, e.Status = "SignatureDoesNotMatch", http.StatusForbidden
		}
		return e
	}
	if x.encoding.rest {
		e.Status = http.StatusForbidden
	}
	switch fault.Kind {
	case sigv4.Missing:
		e.Code = "MissingAuthenticationTokenException"
		if x.encoding.rest || x.service.Model.Info.EndpointName == "kinesis" {
			e.Message = "Missing Authentication Token" // as the rest APIs say it, and of the others Kinesis alone
		}
	case sigv4.Incomplete:
		e.Code = "IncompleteSignatureException"
	default:
		e.Code = "InvalidSignatureException"
	}
	return e
}

func (x *exchange) unknownKey() *Error {
	e := &Error{Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
	if x.encoding.form {
		e.Code, e.Status = "InvalidClientTokenId", http.StatusForbidden
	}
	if x.encoding.rest {
		e.Status = http.StatusForbidden
	}
	return e
}
