//! `S3Grants` on our own S3 and STS, through the SDK and HTTP.

mod addresses;
mod lives;
mod outcomes;
mod place;

/// The contract's clauses, granted by who may do no more than the upload function of a stack.
mod contract {
    use super::place::Server;

    two_buckets_contracts::grants_contract!(Server::start);
}
