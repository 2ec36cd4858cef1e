package kafka

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/quota"
)

// errNoQuotas answers where none can be kept.
var errNoQuotas = refuse(kerr.UnsupportedVersion, "This server keeps no quotas.")

// The kinds of parts of an entity, as the protocol names them.
const (
	userQuota   = "user"
	clientQuota = "client-id"
	ipQuota     = "ip"
)

// quotaPart returns the part of an entity that is of a kind, nil if there is no such kind.
func quotaPart(e *quota.Entity, kind string) *quota.Part {
	switch kind {
	case userQuota:
		return &e.User
	case clientQuota:
		return &e.Client
	case ipQuota:
		return &e.IP
	}
	return nil
}

// quotaError gives an error of the book its code.
func quotaError(err error) error {
	if errors.Is(err, quota.ErrInvalid) || errors.Is(err, quota.ErrTooMany) {
		return refuse(kerr.InvalidRequest, "%s", err.Error())
	}
	return err
}

// alterClientQuotas sets and removes limits, each entity's alone (KIP-546). An entity that is there more than once is answered once.
func (s *Server) alterClientQuotas(ctx context.Context, c *Client, req *kmsg.AlterClientQuotasRequest) *kmsg.AlterClientQuotasResponse {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	entities := make([]quota.Entity, len(req.Entries))
	errs := make([]error, len(req.Entries))
	times := map[quota.Entity]int{}
	for i := range req.Entries {
		if entities[i], errs[i] = quotaEntity(req.Entries[i].Entity); errs[i] == nil {
			times[entities[i]]++
		}
	}
	told := map[quota.Entity]bool{}
	for i := range req.Entries {
		asked, err := &req.Entries[i], errs[i]
		switch {
		case err == nil && told[entities[i]]:
			continue
		case err == nil && times[entities[i]] > 1:
			err = refuse(kerr.InvalidRequest, "Ignoring duplicate entity")
		case err == nil:
			err = s.alterQuota(ctx, c, entities[i], asked.Ops, req.ValidateOnly)
		}
		told[entities[i]] = errs[i] == nil
		entry := kmsg.NewAlterClientQuotasResponseEntry()
		entry.ErrorCode, entry.ErrorMessage = code(err), errorMessage(err)
		for _, part := range asked.Entity {
			entry.Entity = append(entry.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
		}
		resp.Entries = append(resp.Entries, entry)
	}
	return resp
}

// quotaEntity reads an entity; a name that is null stands for everyone without a limit of their own.
func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) (e quota.Entity, err error) {
	for i := range parts {
		p := quotaPart(&e, parts[i].Type)
		switch {
		case p == nil:
			return e, refuse(kerr.InvalidRequest, "Unhandled client quota entity type: %s", parts[i].Type)
		case p.Set:
			return e, refuse(kerr.InvalidRequest, "Entity type %s appears more than once", parts[i].Type)
		case parts[i].Name == nil:
			*p = quota.Everyone
		default:
			*p = quota.Named(quotaName(parts[i].Type, *parts[i].Name))
		}
	}
	return e, quotaError(e.Check())
}

// quotaName returns the one way in which a name is written: addresses have several.
func quotaName(kind, name string) string {
	if a, err := netip.ParseAddr(name); kind == ipQuota && err == nil {
		return a.Unmap().String()
	}
	return name
}

func (s *Server) alterQuota(ctx context.Context, c *Client, e quota.Entity, ops []kmsg.AlterClientQuotasRequestEntryOp, validate bool) error {
	if s.cfg.Quotas == nil {
		return errNoQuotas
	}
	changes := make([]quota.Change, 0, len(ops))
	for _, op := range ops {
		changes = append(changes, quota.Change{Name: op.Key, Limit: op.Value, Remove: op.Remove})
	}
	err := quotaError(s.cfg.Quotas.Alter(ctx, e, changes, validate))
	if err == nil && !validate {
		s.logger.Info("quotas altered", "entity", e, "changes", changes, "principal", c.Principal(), "peer", c.Addr, "client", c.ID)
	}
	return err
}

// How a filter of DescribeClientQuotas looks at one part of an entity.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

// describeClientQuotas tells the limits of the entities that have the parts asked for; if strict is set, of those that have no others.
func (s *Server) describeClientQuotas(_ context.Context, _ *Client, req *kmsg.DescribeClientQuotasRequest) *kmsg.DescribeClientQuotasResponse {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	err := checkQuotaFilter(req.Components)
	if s.cfg.Quotas == nil {
		err = errNoQuotas
	}
	if resp.ErrorCode, resp.ErrorMessage = code(err), messageOrEmpty(err); err != nil {
		return resp
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null says that there was an error
	for _, e := range s.cfg.Quotas.Entries(func(e quota.Entity) bool { return quotaMatches(e, req.Components, req.Strict) }) {
		resp.Entries = append(resp.Entries, quotaEntry(e))
	}
	return resp
}

func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for i := range components {
		f := &components[i]
		switch {
		case f.EntityType == "":
			return refuse(kerr.InvalidRequest, "Invalid empty entity type.")
		case seen[f.EntityType]:
			return refuse(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", f.EntityType)
		case quotaPart(&quota.Entity{}, f.EntityType) == nil:
			return refuse(kerr.UnsupportedVersion, "Unsupported entity type %s", f.EntityType)
		case f.MatchType < matchExact || f.MatchType > matchAny:
			return refuse(kerr.InvalidRequest, "Unknown match type %d", f.MatchType)
		case f.MatchType == matchExact && f.Match == nil:
			return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
		case f.MatchType != matchExact && f.Match != nil:
			return refuse(kerr.InvalidRequest, "Request specified match type %d, but also specified a match string.", f.MatchType)
		}
		seen[f.EntityType] = true
	}
	if seen[ipQuota] && len(seen) > 1 {
		return refuse(kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	return nil
}

func quotaMatches(e quota.Entity, components []kmsg.DescribeClientQuotasRequestComponent, strict bool) bool {
	rest := e
	for i := range components {
		f := &components[i]
		p := *quotaPart(&e, f.EntityType)
		switch {
		case !p.Set,
			f.MatchType == matchExact && p != quota.Named(quotaName(f.EntityType, *f.Match)),
			f.MatchType == matchDefault && !p.Default:
			return false
		}
		*quotaPart(&rest, f.EntityType) = quota.Part{}
	}
	return !strict || rest == quota.Entity{}
}

func quotaEntry(e quota.Entry) kmsg.DescribeClientQuotasResponseEntry {
	entry := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, kind := range []string{userQuota, clientQuota, ipQuota} {
		p := quotaPart(&e.Entity, kind)
		if !p.Set {
			continue
		}
		part := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		if part.Type = kind; !p.Default {
			part.Name = &p.Name
		}
		entry.Entity = append(entry.Entity, part)
	}
	for k, limit := range e.Values {
		v := kmsg.NewDescribeClientQuotasResponseEntryValue()
		v.Key, v.Value = k.String(), limit
		entry.Values = append(entry.Values, v)
	}
	slices.SortFunc(entry.Values, func(a, b kmsg.DescribeClientQuotasResponseEntryValue) int { return strings.Compare(a.Key, b.Key) })
	return entry
}
