//! `S3Store` on our own S3, through the SDK and HTTP.

mod contract;
mod copies;
mod outcomes;
mod probe;
pub(crate) mod server;
