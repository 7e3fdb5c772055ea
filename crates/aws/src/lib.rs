//! The traits of Two Buckets on AWS: `ObjectStore` on S3, `Ledger` on `DynamoDB`, wake-ups from SQS, the user's function on
//! Lambda as `Processor`, jobs on Batch.

mod clients;
pub mod function;
pub mod jobs;
pub mod ledger;
mod policy;
mod store;
pub mod wake;
mod words;

pub use clients::{ClientOptions, Clients, NoRegion};
pub use store::{Finding, Need, Report, S3Store, S3StoreOptions, probe_objects};
