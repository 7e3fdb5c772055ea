//! The upload API as a tower service: grants to upload, the state of every upload, and steering.
//!
//! [`router`] serves the routes below `/api`, and `/metrics`, that the page, the command line and other programs speak; `openapi.json`
//! beside this crate's manifest describes them and is served as `/api/openapi.json`.
//! It owns two traits and knows nothing of what is behind them: [`Grants`] signs permissions to upload, [`Tracker`]
//! says where each upload is and steers it. [`tracking`] is what trackers of every ledger and store have in common.
//!
//! It promises that whatever is sent gets an answer in problem JSON (RFC 9457) with words a person understands, that
//! no input makes it fail with a 5xx, that every list and body is bounded, and that a file's content is only ever
//! handed out as an attachment. [`GuardLayer`] finds out who a caller is and keeps foreign pages out.
//! It leaves to others: listening, time limits on slow clients, serving the page, and fetching an issuer's keys.

mod admission;
mod attachment;
mod caller;
mod content_type;
mod error;
mod faults;
mod file_facts;
mod grants;
mod guard;
mod key;
mod limits;
mod lives;
mod metadata;
mod metrics;
mod mint;
mod notifications;
mod part_size;
mod problem;
mod rate;
mod reason_pattern;
mod routes;
mod service;
mod tracker;
pub mod tracking;
mod upload;
mod wire;

pub use caller::{Caller, InvalidKeyPrefix, KeyPrefix, KnownBy};
pub use content_type::{ContentType, InvalidContentType};
pub use error::{Error, Result};
pub use faults::{FaultRule, Faults};
pub use grants::{
    CompleteMultipart, Completed, CreateMultipart, CredentialScope, FormSigner, FormTarget,
    FormToSign, Grants, InvalidMultipartId, InvalidPartNumber, MultipartId, MultipartRef,
    Operation, PartNumber, ReceivedPart, RequestToSign, SignedForm, SignedRequest, UnsignedForm,
    UploadCredentials, scope_does_not_fit,
};
pub use guard::{
    Access, AdminToken, Algorithm, Callers, ClaimName, ClaimRules, ClientAddress, FetchDocument,
    Gateway, GatewayAccess, GatewayLayer, Guard, GuardLayer, InvalidAlgorithm, InvalidClaimName,
    InvalidOrigin, InvalidToken, InvalidTokenDigest, Issuer, KeysAddress, KnownCallers,
    KnownTokens, OpenToOthers, Signing, TokenDigest, TokenRules, Vouched, WebOrigin,
};
pub use key::{InvalidUploadKey, UploadKey};
pub use limits::{InvalidMediaRange, MediaRange, UploadLimits};
pub use lives::{
    CREDENTIALS_LIFE, FORM_LIFE, SESSION_LIFE_MIN, SIGNATURE_LIFE_MAX, SIGNED_CALL_LIFE,
    SIGNED_PUT_LIFE,
};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, UploadFigures};
pub use mint::{InvalidTemplate, KeyTemplate};
pub use notifications::{NotificationTarget, Notifications};
pub use part_size::{FILE_SIZE_BYTES_MAX, part_size};
pub use reason_pattern::{InvalidReasonPattern, ReasonPattern};
pub use service::{OPENAPI, ROUTES, Sources, UntilStop, UploadApi, router};
pub use tracker::{
    Change, Counts, Cursor, Expected, ListUploads, Minted, Oldest, Paused, Replay, ReplaySelection,
    Replayed, Retried, RetryMany, RetrySelection, S3Address, ServerFacts, Swept, Tracker,
    UploadPage,
};
pub use upload::{
    Attempt, AttemptLog, AttemptOutcome, Progress, ReplayOf, Upload, UploadHistory, UploadId,
    UploadState,
};

/// The largest JSON body a call may carry.
pub const JSON_BODY_BYTES_MAX: usize = 64 << 10;
/// The most uploads in one page of a list.
pub const PAGE_MAX: usize = 1_000;
/// How many uploads a page of a list has when the caller does not say.
pub const PAGE_DEFAULT: usize = 100;
/// The longest search text, in bytes: no key is longer.
pub const SEARCH_BYTES_MAX: usize = two_buckets_objects::Key::LENGTH_BYTES_MAX;

const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
