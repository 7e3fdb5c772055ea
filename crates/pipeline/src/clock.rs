use std::future::Future;
use std::time::Duration;

use two_buckets_objects::Timestamp;

/// Time as the pipeline sees it, so that tests and the simulator can drive it.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, for stamps and for moments that other machines read. It may jump; nothing rests on it alone but waiting.
    fn now(&self) -> Timestamp;

    /// Ends after this long by monotonic time. Dropping it forgets it.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> + Send;
}
