//! What runs the pipeline on AWS: turns on the keys that wake-ups name, for the long-running worker and for the Lambda
//! function alike, and the sweep.
//!
//! A wake-up is acknowledged once its turn has ended, whatever came of it: the ledger remembers, not the queue.
//! Events of other buckets are acknowledged and ignored, because a queue's policy can only say "of this account".
//!
//! Permissions: those of [`S3Store`](crate::S3Store), of the [ledger](crate::ledger) and of the [queue](crate::wake);
//! [`check_buckets`] needs `s3:GetBucketVersioning` on both buckets, and nothing else asks for it.

mod bounded;
mod bounds;
mod buckets;
mod chosen;
mod config;
mod container;
mod jobs;
mod metrics;
mod pauses;
mod pool;
mod sweep;
mod system;
mod turns;
mod variables;

pub use bounds::Bounds;
pub use buckets::{NotFit, check_buckets};
pub use chosen::Chosen;
pub use config::{Batch, Config, LambdaFunction};
pub use container::JobEnded;
pub use jobs::{DeploymentJobs, JobsParts};
pub use metrics::Metrics;
pub use pauses::Pauses;
pub use pool::{Worker, WorkerOptions};
pub use sweep::{Figures, Sweep, SweepFailed};
pub use system::{SystemClock, holder, random};
pub use turns::{Taken, Turns, TurnsOptions};
pub use variables::Problems;
#[cfg(feature = "api")]
pub(crate) use variables::Variables;
