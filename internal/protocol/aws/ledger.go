package aws

// Ledger says, for each input member of each served operation, what this implementation does with it. Keys are Operation.Member for the
// members of a request and Structure.Member for those of structures in it, in the model's names: CreateStream.ShardCount,
// PutRecordsRequestEntry.Data. Lists and maps are transparent. What a stored or refused member contains needs no entries of its own.
//
// Ledger.Check, in a test of each service, keeps it complete; the front door answers requests that carry a refused member with an error naming it; tools/fidelity renders
// all ledgers to docs/fidelity.md.
type Ledger map[string]Fidelity

// Fidelity is what happens to one member. Enforced, Stored, Unread and Refused make one.
type Fidelity struct {
	Level  Level
	Reason string // why not enforced, as a clause that can follow a colon
	unread bool
}

// Level is how seriously a member is taken.
type Level uint8

// The levels.
const (
	LevelEnforced Level = iota + 1 // has the effect that AWS documents
	LevelStored                    // is kept and returned, without effect
	LevelRefused                   // is answered with an error
)

// Enforced marks a member that has the effect AWS documents.
var Enforced = Fidelity{Level: LevelEnforced}

// Stored marks a member that is kept or accepted but has no effect here.
func Stored(reason string) Fidelity { return Fidelity{Level: LevelStored, Reason: reason} }

// Unread marks a member of a request that is accepted whatever it contains, against the model's constraints too.
func Unread(reason string) Fidelity {
	return Fidelity{Level: LevelStored, Reason: reason, unread: true}
}

// Refused marks a member whose presence is answered with an error. A boolean false counts as absent.
func Refused(reason string) Fidelity { return Fidelity{Level: LevelRefused, Reason: reason} }
