//! The traits of Two Buckets on AWS: `ObjectStore` on S3, `Ledger` on DynamoDB, wake-ups from SQS.

mod clients;

pub use clients::{ClientOptions, Clients, NoRegion};
