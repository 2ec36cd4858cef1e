package group

// shows says whether a topic that matches may be found.
func (p *pattern) shows(topic string) bool { return p.visible == nil || p.visible(topic) }

// show has the pattern of an interest, if there is one, find visible topics only: for all its members, those that the one who subscribed last may see, as in
// Apache Kafka. Who only says that it lives decides that after a restart, when nobody has said anything yet, unless again is set.
func (m *ConsumerMachine) show(s *interest, visible func(topic string) bool, again bool) {
	if visible == nil || s.pattern == nil || s.pattern.visible != nil && !again {
		return
	}
	s.pattern.visible = visible
	if s.resolve(m.topics) && s.members > 0 {
		m.bump("topics that members may see have changed")
	}
}
