use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use two_buckets_objects::ObjectInfo;

/// Where an upload is processed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Route {
    /// By the worker that comes to it.
    #[default]
    Inline,
    /// By a job: a process of its own, without the time-outs of a function.
    Job,
}

/// Says of each upload where it is processed, by what staging knows of its version: key, size, media type, metadata.
///
/// It is asked once, before an attempt begins; what was routed to a job stays there until it is retried. It must not
/// block, and should give the same answer for the same version.
#[derive(Clone)]
pub struct Routes(Arc<dyn Fn(&ObjectInfo) -> Route + Send + Sync>);

impl Routes {
    /// Routes as this function says.
    pub fn new(route: impl Fn(&ObjectInfo) -> Route + Send + Sync + 'static) -> Self {
        Self(Arc::new(route))
    }

    /// Makes jobs of uploads of at least this size.
    pub fn jobs_from(size_bytes: u64) -> Self {
        Self::new(move |source| {
            if source.size_bytes >= size_bytes {
                Route::Job
            } else {
                Route::Inline
            }
        })
    }

    /// Where this version is processed.
    pub fn of(&self, source: &ObjectInfo) -> Route {
        (self.0)(source)
    }
}

/// Everything inline.
impl Default for Routes {
    fn default() -> Self {
        Self::new(|_| Route::Inline)
    }
}

/// Two are equal if they are clones of one.
impl PartialEq for Routes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Routes {}

impl Hash for Routes {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}
