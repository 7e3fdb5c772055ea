//! What strangers' bytes meet first, each as one plain function of bytes.
//!
//! A function here panics when a promise is broken: an answer of 500, a key that is not what was sent, a policy that
//! allows what it does not name. `tests/corpus.rs` runs each on a kept corpus and on small changes of it, with the
//! stable compiler; `libfuzzer/` hands the same functions to cargo-fuzz where a nightly compiler is at hand:
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir fuzz/libfuzzer s3_request fuzz/corpus/s3_request -- -max_total_time=60
//! ```

mod policy;
mod post_form;
mod s3_request;
mod server;
mod upload_key;

pub use policy::policy;
pub use post_form::post_form;
pub use s3_request::s3_request;
pub use upload_key::upload_key;

/// A target: its name, which is also that of its folder in `corpus/`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("s3_request", s3_request),
    ("policy", policy),
    ("post_form", post_form),
    ("upload_key", upload_key),
];
