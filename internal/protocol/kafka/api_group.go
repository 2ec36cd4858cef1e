package kafka

// groupAPIs are the requests of consumer groups and of whoever administers them.
func groupAPIs() []api {
	return nil
}
