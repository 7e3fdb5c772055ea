//! The store's data model, tested through its public face.

#![expect(
    clippy::unwrap_used,
    reason = "in a test what fails is to stop it, in its helpers as well"
)]

mod bodies;
mod changes;
mod harness;
mod lists;
mod model;
mod moves;
mod multipart;
mod operations;
mod random;
mod reopened;
mod versions;
mod world;
