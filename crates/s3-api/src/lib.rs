//! The S3 protocol over HTTP, on depot.
//!
//! [`S3Service`] answers requests; [`S3Service::serve`] does so on a listener. s3s gives the routing, the XML and the
//! types; this crate has a strict layer in front of it and the operations behind it.
//!
//! # Promises
//!
//! * **Nobody gets in without a signature** that covers the host, every `x-amz-*` header, and for bodies whatever the
//!   client chose to sign. See [`sign`] for the form.
//! * **A body that is not what the client said it is leaves nothing behind**: its length, SHA-256, MD5, checksums,
//!   chunk signatures and trailers are compared before the object is made.
//! * **What is not there is refused**, never ignored: encryption, locks, lists, unknown sub-resources.
//! * **Memory is bounded** by the number of connections, whatever the size of bodies and chunks.
//! * **What a pinned session names means its version**, and its move of it is only noted. See [`pins`].
//!
//! It misbehaves as S3 does where [`Config::faults`] says so. See [`faults`].
//!
//! What a store can and cannot do is depot's affair; who may write which key is decided by [`Config::refuse_write`].

mod access;
mod auth;
mod backend;
mod cause;
mod config;
mod cors;
mod credentials;
mod digests;
mod error;
pub mod faults;
mod form;
mod host;
mod lifecycle;
pub mod notifications;
mod operation;
mod payload;
pub mod pins;
pub mod policy;
mod query;
mod refusal;
mod request_id;
mod requests;
mod server;
mod service;
pub mod sign;
mod store;
mod sts;
mod target;
mod unsupported;

pub use config::{Config, Limits, RefuseWrite};
pub use credentials::Credentials;
pub use faults::{Fault, FindFault, Struck};
pub use form::{ExaminedForm, examine_form};
pub use lifecycle::{AbortIncomplete, UnreadableLifecycle};
pub use operation::{Conditions, Operation};
pub use pins::{FUNCTION_ROLE, Pin, Pinned, Pins, Slot, function_role};
pub use requests::RequestsAnswered;
pub use server::{InvalidNetwork, Listening, Network, Peer, TrustedProxies, serve};
pub use service::{AnswerBody, S3Service};
pub use sts::{
    AssumeRole, AssumeRoleError, InvalidRole, Role, SESSION_LIFE_MAX, Sts, TemporaryCredentials,
    UPLOADER_ROLE, uploader_role,
};
