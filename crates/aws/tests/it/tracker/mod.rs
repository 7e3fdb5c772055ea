//! `AwsTracker` on our own S3, moto's `DynamoDB` and moto's SQS.

mod cancelling;
mod host;
mod pausing;
mod replaying;
mod unnoted;

mod contract {
    use super::host::Host;

    async fn make() -> Option<Host> {
        Host::start().await
    }

    two_buckets_contracts::tracker_contract_where_possible!(make);
}
