//! The store's data model, tested through its public face.

mod harness;
mod versions;
