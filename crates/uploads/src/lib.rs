//! The upload API as a tower service: grants, status and steering.
