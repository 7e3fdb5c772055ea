//! The S3 protocol over HTTP, on depot.
