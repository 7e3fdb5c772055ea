//! What each trait of Two Buckets promises, as tests that any implementation runs.
