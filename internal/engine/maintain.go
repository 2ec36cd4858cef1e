package engine

// tend tells maintain that there may be something to do.
func (e *Engine) tend() {
	select {
	case e.chores <- struct{}{}:
	default:
	}
}

// maintain keeps space ahead of the writer, applies retention, and gives back what dead files hold.
func (e *Engine) maintain() {
	for {
		select {
		case <-e.chores:
		case <-e.stop:
			return
		}
	}
}
