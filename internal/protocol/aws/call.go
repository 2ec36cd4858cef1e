package aws

import "net/http"

// Call is what a handler may know of its request beside the input.
type Call struct {
	// Service is the API's name in ARNs, e.g. kinesis; Operation the operation's name.
	Service, Operation string
	// Region comes from the credential scope, Account from the access key.
	Region, Account string
	// AccessKey is the caller's access key id, User the IAM user who has it; "" = the account's root.
	AccessKey, User string
	// RequestID is answered as x-amzn-RequestId; log lines about the request carry it.
	RequestID string
	// Client is the peer's address, host:port.
	Client string
	// Header holds the request's headers; read only.
	Header http.Header
}

// Partition is the first part of every ARN that this project makes.
const Partition = "aws"

// ARN names a resource of the called service in the caller's region and account: resource is e.g. stream/clicks.
func (c *Call) ARN(resource string) string { return MakeARN(c.Service, c.Region, c.Account, resource) }

// MakeARN joins the parts of an Amazon resource name.
func MakeARN(service, region, account, resource string) string {
	return "arn:" + Partition + ":" + service + ":" + region + ":" + account + ":" + resource
}

// UserARN names an IAM user of an account; "" is its root user.
func UserARN(account, user string) string {
	if user == "" {
		return "arn:" + Partition + ":iam::" + account + ":root"
	}
	return "arn:" + Partition + ":iam::" + account + ":user/" + user
}
