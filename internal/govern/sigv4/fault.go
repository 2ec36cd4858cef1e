package sigv4

// Kind sorts what can be wrong with a signature.
type Kind uint8

// The kinds of faults.
const (
	Missing    Kind = iota + 1 // no signature at all
	Incomplete                 // parts of it are missing or malformed
	Ambiguous                  // in the header and in the query at once
	Invalid                    // out of its time, or not made with the secret
)

// Fault says why a request's signature is not accepted, in AWS's words.
type Fault struct {
	Kind Kind
	Text string
}

// Error is the message that the client sees.
func (f *Fault) Error() string { return f.Text }
