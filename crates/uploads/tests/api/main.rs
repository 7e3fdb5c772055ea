//! The upload API as a caller meets it: requests in, answers out, in process.

mod callers;
mod content;
mod describing;
mod events;
mod faults;
mod guards;
mod keys;
mod limits;
mod metrics;
mod minting;
mod notifications;
mod reading;
mod shelf;
mod signer;
mod signing;
mod steering;
mod tenants;
mod uppy;
