//! Two Buckets' traits on one machine.
