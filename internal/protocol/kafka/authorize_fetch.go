package kafka

import (
	"context"

	"github.com/freshet/freshet/internal/govern/acl"
)

// resolve finds the shard of p, which the client must be allowed to read. Whether there is a topic of a name is told to who may read it only.
func (f *fetching) resolve(ctx context.Context, p *fetchPart) error {
	c := f.client
	if f.server.authorizer == nil || p.granted == c.grants.serial {
		return f.set.resolve(ctx, p)
	}
	if name := p.key.topic; name != "" && !c.require(acl.Read, acl.Topic, name) {
		return errTopicDenied
	}
	if err := f.set.resolve(ctx, p); err != nil {
		return err
	}
	if p.key.topic == "" && !c.require(acl.Read, acl.Topic, string(p.name)) {
		return errTopicDenied
	}
	p.granted = c.grants.serial
	return nil
}

// regrant has all partitions looked at again when the client's rights may have changed: one that had nothing to read may have become unreadable.
func (f *fetching) regrant() {
	if f.server.authorizer == nil {
		return
	}
	serial := f.client.refreshGrants().serial
	if f.set.granted == serial {
		return
	}
	for _, p := range f.set.parts {
		f.set.heat(p)
	}
	f.set.granted = serial
}
