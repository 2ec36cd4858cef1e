package clocktest

import (
	"testing"
	"time"
)

// TestStepped: what a set clock shows differs by as much as it was set, what has passed does not.
func TestStepped(t *testing.T) {
	c := NewStepped()
	for _, by := range []time.Duration{time.Hour, -2 * time.Hour} {
		before := c.Now()
		c.Step(by)
		after := c.Now()
		if shown := after.Round(0).Sub(before.Round(0)); shown < by || shown > by+time.Minute {
			t.Errorf("set by %s, it shows %s more", by, shown)
		}
		if passed := after.Sub(before); passed < 0 || passed > time.Minute {
			t.Errorf("set by %s, %s have passed", by, passed)
		}
	}
}
