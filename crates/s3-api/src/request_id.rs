use std::sync::atomic::{AtomicU64, Ordering};

use two_buckets_objects::Timestamp;

/// Gives each request a name that is in its answer and in the log. Unique within a run, and by the time it began
/// with all but certainly across runs; no secret.
pub(crate) struct RequestIds {
    begun_millis: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(begun_at: Timestamp) -> Self {
        Self {
            begun_millis: begun_at.millis().cast_unsigned(),
            next: AtomicU64::new(0),
        }
    }

    /// 16 hex digits, as S3's request ids are 16 characters.
    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // The time in the high bits; 24 bits of count may run over into them, and no harm done.
        format!("{:016X}", (self.begun_millis << 24).wrapping_add(number))
    }
}
