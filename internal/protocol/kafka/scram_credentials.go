package kafka

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/state"
)

// describeUserScramCredentials tells which mechanisms users have credentials of, and of how many iterations (KIP-554). Nothing of the
// credentials themselves is told.
func (s *Server) describeUserScramCredentials(ctx context.Context, _ *Client, req *kmsg.DescribeUserSCRAMCredentialsRequest) *kmsg.DescribeUserSCRAMCredentialsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	resp.ErrorMessage = messageOrEmpty(nil)
	if len(req.Users) == 0 {
		all, err := s.users.List(ctx)
		if err != nil {
			resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
			return resp
		}
		for _, user := range all {
			resp.Results = append(resp.Results, describedUser(user))
		}
		return resp
	}
	times := map[string]int{}
	for _, user := range req.Users {
		times[user.Name]++
	}
	for _, asked := range req.Users {
		if times[asked.Name] == 0 {
			continue // told already
		}
		user, err := s.users.Get(ctx, asked.Name)
		switch {
		case times[asked.Name] > 1:
			err = refuse(kerr.DuplicateResource, "Cannot describe SCRAM credentials for the same user twice in a single request: %s", asked.Name)
		case errors.Is(err, state.ErrNotFound):
			err = refuse(kerr.ResourceNotFound, "Attempt to describe a user credential that does not exist: %s", asked.Name)
		}
		result := describedUser(user)
		if err != nil {
			result = kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
			result.ErrorCode, result.ErrorMessage = code(err), errorMessage(err)
		}
		result.User = asked.Name
		resp.Results = append(resp.Results, result)
		times[asked.Name] = 0
	}
	return resp
}

func describedUser(user scram.User) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	result := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	result.User, result.ErrorMessage = user.Name, messageOrEmpty(nil)
	for _, m := range scram.Mechanisms {
		if c, there := user.Credentials[m]; there {
			result.CredentialInfos = append(result.CredentialInfos, kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{Mechanism: int8(m), Iterations: int32(c.Iterations)})
		}
	}
	return result
}

// userChanges is what a request changes of one user, or why it does not.
type userChanges struct {
	changes map[scram.Mechanism]*scram.Credential
	err     error
}

// alterUserScramCredentials sets and removes credentials (KIP-554). Those of one user are changed together or, if one of the changes is wrong,
// not at all; other users' are changed all the same.
func (s *Server) alterUserScramCredentials(ctx context.Context, c *Client, req *kmsg.AlterUserSCRAMCredentialsRequest) *kmsg.AlterUserSCRAMCredentialsResponse {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	users := map[string]*userChanges{}
	var order []string
	add := func(name string, mechanism int8, credential *scram.Credential, err error) {
		u := users[name]
		if u == nil {
			u = &userChanges{changes: map[scram.Mechanism]*scram.Credential{}}
			users[name], order = u, append(order, name)
		}
		m := scram.Mechanism(mechanism)
		_, again := u.changes[m]
		switch {
		case again:
			err = refuse(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")
		case name == "":
			err = refuse(kerr.UnacceptableCredential, "Username must not be empty")
		case !m.Known():
			err = refuse(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
		}
		u.changes[m] = credential
		if u.err == nil {
			u.err = err
		}
	}
	for _, d := range req.Deletions {
		add(d.Name, d.Mechanism, nil, nil)
	}
	for _, u := range req.Upsertions {
		credential, err := scram.OfSalted(scram.Mechanism(u.Mechanism), u.Salt, u.SaltedPassword, int(u.Iterations))
		add(u.Name, u.Mechanism, &credential, credentialRefusal(err))
	}
	slices.Sort(order)
	for _, name := range order {
		u := users[name]
		if u.err == nil {
			u.err = credentialRefusal(s.users.Alter(ctx, name, u.changes))
		}
		if u.err == nil {
			s.logger.Info("SCRAM credentials altered", "user", name, "principal", c.Principal(), "peer", c.Addr, "client", c.ID)
		}
		result := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		result.User, result.ErrorCode, result.ErrorMessage = name, code(u.err), errorMessage(u.err)
		resp.Results = append(resp.Results, result)
	}
	return resp
}

// credentialRefusal puts errors of users and credentials into Kafka's words.
func credentialRefusal(err error) error {
	switch {
	case errors.Is(err, scram.ErrFewIterations):
		return refuse(kerr.UnacceptableCredential, "Too few iterations")
	case errors.Is(err, scram.ErrManyIterations):
		return refuse(kerr.UnacceptableCredential, "Too many iterations")
	case errors.Is(err, scram.ErrSalt), errors.Is(err, scram.ErrName), errors.Is(err, scram.ErrTooMany):
		return refuse(kerr.UnacceptableCredential, "%s", err)
	case errors.Is(err, scram.ErrNoCredential):
		return refuse(kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
	}
	return err
}
