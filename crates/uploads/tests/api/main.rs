//! The upload API as a caller meets it: requests in, answers out, in process.

mod callers;
mod content;
mod describing;
mod guards;
mod reading;
mod shelf;
mod signer;
mod signing;
mod steering;
