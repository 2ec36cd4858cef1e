package kafka

import "strconv"

// tierBrokerSetting says whether topics can be tiered.
func tierBrokerSetting() brokerSetting {
	t := settled("remote.log.storage.system.enable", boolType, "false", "false", "Whether there is a place for the older segments of topics (--tier).")
	t.read = func(c *Config) string { return strconv.FormatBool(c.Tier != nil) }
	return t
}
