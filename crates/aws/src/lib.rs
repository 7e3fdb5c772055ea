//! The traits of Two Buckets on AWS: `ObjectStore` on S3, `Ledger` on `DynamoDB`, wake-ups from SQS.

mod clients;
pub mod lambda;
pub mod ledger;
mod store;
pub mod wake;
mod words;
pub mod worker;

pub use clients::{ClientOptions, Clients, NoRegion};
pub use store::{Finding, Need, Report, S3Store, S3StoreOptions, probe_objects};
