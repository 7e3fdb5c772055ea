//! How long each grant lives, and how long its file is then waited for.

use std::time::Duration;

use two_buckets_objects::Timestamp;

/// How long a signed PUT of a file or a part may be begun. It is asked for just before it is sent; a browser sends it
/// up to four times with a pause between, and each try may break off late: a part of 16 MiB takes 2 minutes at
/// 1 Mbit/s. Only the beginning must fall within it, so slow files need no more.
pub const SIGNED_PUT_LIFE: Duration = Duration::from_mins(15);
/// How long the other signed calls may be begun: they carry few bytes and are sent at once, tries included.
pub const SIGNED_CALL_LIFE: Duration = Duration::from_mins(5);
/// How long a form may be posted: a person looks at it, chooses a file and sends it.
pub const FORM_LIFE: Duration = Duration::from_hours(1);
/// How long credentials live: every part is signed anew with them, so they should outlast most files, and an hour is
/// the longest that AWS gives a role that was itself assumed (IAM User Guide, "Role chaining"). Asking again with the
/// key renews them.
pub const CREDENTIALS_LIFE: Duration = Duration::from_hours(1);
/// How long a file that goes in one request is waited for after its grant has ended: 5 GiB take 12 hours at 1 Mbit/s.
pub(crate) const WAIT_FOR_PUT: Duration = Duration::from_hours(24);
/// How long a file that may go in parts is waited for: as long as its parts are kept.
pub(crate) const WAIT_FOR_PARTS: Duration = Duration::from_hours(7 * 24);

/// The longest life of a signature: S3 refuses one that lives longer (S3 User Guide, "Download and upload objects with
/// presigned URLs").
pub const SIGNATURE_LIFE_MAX: Duration = Duration::from_hours(7 * 24);
/// The shortest session there is (STS API, `AssumeRole`).
pub const SESSION_LIFE_MIN: Duration = Duration::from_mins(15);
const _: () = assert!(SIGNED_PUT_LIFE.as_secs() <= SIGNATURE_LIFE_MAX.as_secs());
const _: () = assert!(FORM_LIFE.as_secs() <= SIGNATURE_LIFE_MAX.as_secs());
const _: () = assert!(CREDENTIALS_LIFE.as_secs() >= SESSION_LIFE_MIN.as_secs());

/// How a file is going to come, as far as it decides how long it is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coming {
    /// In one request that may be begun for so long.
    AtOnce(Duration),
    /// In parts, perhaps.
    InParts,
}

impl Coming {
    /// After this it will not come any more.
    pub(crate) fn until(self, now: Timestamp) -> Timestamp {
        match self {
            Self::AtOnce(life) => now.after(life).after(WAIT_FOR_PUT),
            Self::InParts => now.after(WAIT_FOR_PARTS),
        }
    }
}
