use std::fmt;

use two_buckets_objects::{ObjectRef, Timestamp};

use crate::UploadId;

/// A number that grows with each claim of a key's lease. A write under an older one than the lease's is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who claims: a worker's name, for people who read the ledger. Never compared; the fencing token decides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holder(pub String);

/// One opening of an embedded store. Leases of an earlier one are void, because their holders are dead.
/// Ledgers that outlive their workers use [`BootId::NONE`] throughout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BootId(pub u64);

impl BootId {
    /// For ledgers that do not begin anew with their workers.
    pub const NONE: Self = Self(0);
}

/// A time-limited claim on all versions of one staging key.
///
/// It is live until it is released, claimed by somebody else after `expires_at`, or voided with its boot. Being past
/// `expires_at` does not end it by itself: as long as nobody else claimed the key, its holder's writes are accepted,
/// so no decision about data rests on two machines' clocks agreeing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lease {
    /// The key in staging.
    pub key: ObjectRef,
    /// Who holds it.
    pub holder: Holder,
    /// What its holder's writes carry.
    pub token: FencingToken,
    /// From when on somebody else may claim the key.
    pub expires_at: Timestamp,
    /// In which boot it was claimed.
    pub boot: BootId,
    /// Whether somebody was turned away since it was claimed or last found dirty; then the holder looks again.
    pub dirty: bool,
    /// The upload whose job holds it; none if a worker does. A job is a process of its own and outlives the boot in
    /// which it claimed the key.
    pub job: Option<UploadId>,
}

impl Lease {
    /// Says whether somebody else has to wait for it.
    pub fn is_live(&self, now: Timestamp, boot: BootId) -> bool {
        (self.job.is_some() || self.boot == boot) && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::{BootId, FencingToken, Holder, Lease};
    use crate::UploadId;
    use two_buckets_objects::{ObjectRef, Timestamp};

    #[test]
    fn a_lease_of_an_earlier_boot_is_void_though_it_has_not_expired_unless_a_job_has_it() {
        let lease = Lease {
            key: ObjectRef {
                bucket: "staging".parse().unwrap(),
                key: "a".parse().unwrap(),
            },
            holder: Holder("worker".into()),
            token: FencingToken(1),
            expires_at: Timestamp::from_millis(1_000),
            boot: BootId(7),
            dirty: false,
            job: None,
        };
        assert!(lease.is_live(Timestamp::from_millis(999), BootId(7)));
        assert!(!lease.is_live(Timestamp::from_millis(1_000), BootId(7)));
        assert!(!lease.is_live(Timestamp::from_millis(0), BootId(8)));
        let job = Lease {
            job: UploadId::new("1"),
            ..lease
        };
        assert!(job.is_live(Timestamp::from_millis(999), BootId(8)));
        assert!(!job.is_live(Timestamp::from_millis(1_000), BootId(8)));
    }
}
