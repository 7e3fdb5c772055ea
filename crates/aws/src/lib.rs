//! The traits of Two Buckets on AWS: `ObjectStore` on S3, `Ledger` on `DynamoDB`, wake-ups from SQS, `Grants` on S3
//! and STS, the user's function on Lambda as `Processor`, jobs on Batch.

mod clients;
pub mod function;
#[cfg(feature = "api")]
pub mod gateway;
#[cfg(feature = "api")]
mod grants;
pub mod jobs;
pub mod lambda;
pub mod ledger;
#[cfg(feature = "operator")]
pub mod operator;
mod store;
#[cfg(feature = "api")]
pub mod tracker;
pub mod wake;
mod words;
pub mod worker;

pub use clients::{ClientOptions, Clients, NoBucketUrl, NoRegion};
#[cfg(feature = "api")]
pub use grants::{S3GrantOptions, S3Grants};
pub use store::{Finding, Need, Report, S3Store, S3StoreOptions, probe_objects};
