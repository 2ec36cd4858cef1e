// Package constraint checks decoded requests against the constraints of their shapes, and words what it finds as AWS does:
//
//	1 validation error detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1
//
// Check is all of it. A request that satisfies its constraints costs no allocation. The package refuses to know operations and their
// semantics: which of two members is needed, what exists, what is within a quota.
package constraint
