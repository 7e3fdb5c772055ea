//! The service over a real socket, by a client that sends exactly the bytes a test wants.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without may end the test"
)]
#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "requests are short and easier to read when written as one text"
)]

mod arbitrary;
mod auth;
mod bodies;
mod buckets;
mod cors;
mod faults;
mod form_corpus;
mod forms;
mod harness;
mod keys;
mod listing;
mod multipart;
mod notifications;
mod permissions;
mod pins;
mod presigned;
mod reads;
mod server;
mod sessions;
mod sts;
mod tokens;
mod writes;
