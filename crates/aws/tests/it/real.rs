//! The contracts of store and ledger on AWS itself, which costs some cents. For who has an account:
//!
//! ```sh
//! TWO_BUCKETS_TEST_AWS_PREFIX=my-test- cargo test -p two-buckets-aws --test it real:: -- --test-threads 4
//! ```
//!
//! Each clause makes a bucket or a table whose name begins so, in the region and with the credentials of the environment,
//! and leaves it behind to be looked at. Without the variable every test says that it is skipped.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    VersioningConfiguration,
};
use two_buckets_aws::ledger::{DynamoLedger, create_table};
use two_buckets_aws::worker::SystemClock;
use two_buckets_aws::{ClientOptions, Clients, S3Store, S3StoreOptions};
use two_buckets_objects::BucketName;
use two_buckets_pipeline::Clock as _;

const PREFIX: &str = "TWO_BUCKETS_TEST_AWS_PREFIX";
/// S3 may take so long to version every write of a bucket on which versioning was just enabled (S3 User Guide, "Enabling
/// versioning on buckets", 15 minutes at most).
const VERSIONING_WAIT: Duration = Duration::from_secs(30);

mod object_store {
    two_buckets_contracts::object_store_contract_where_possible!(super::store);
}

mod ledger {
    two_buckets_contracts::ledger_contract_where_possible!(super::ledger_of_its_own);
}

/// A name that nothing has yet; none where nothing may be made.
fn name() -> Option<String> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let Some(prefix) = std::env::var_os(PREFIX).and_then(|it| it.into_string().ok()) else {
        // Past the test harness, which shows to nobody what passing tests print.
        let said = format!("skipped: on AWS itself, for {PREFIX} is not set\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return None;
    };
    let now = SystemClock.now().millis();
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    Some(format!("{prefix}{now}-{number}"))
}

async fn clients() -> Clients {
    let options = ClientOptions::default();
    Clients::from_environment(&options).await.unwrap()
}

async fn store() -> Option<(S3Store, BucketName)> {
    let name = name()?;
    let clients = clients().await;
    let client = clients.s3();
    let mut create = client.create_bucket().bucket(&name);
    // The one region that has no name here (S3 API, `CreateBucket`).
    if clients.region() != "us-east-1" {
        let place = BucketLocationConstraint::from(clients.region());
        let place = CreateBucketConfiguration::builder().location_constraint(place);
        create = create.create_bucket_configuration(place.build());
    }
    create.send().await.unwrap();
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let versioned = client.put_bucket_versioning().bucket(&name);
    versioned
        .versioning_configuration(enabled)
        .send()
        .await
        .unwrap();
    tokio::time::sleep(VERSIONING_WAIT).await;
    let store = S3Store::new(client, S3StoreOptions::default());
    Some((store, name.parse().unwrap()))
}

async fn ledger_of_its_own() -> Option<DynamoLedger> {
    let name = name()?;
    let client = clients().await.dynamodb();
    create_table(&client, &name).await.unwrap();
    while !is_active(&client, &name).await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Some(DynamoLedger::new(client, &name).with_shards_if_new(2))
}

async fn is_active(client: &aws_sdk_dynamodb::Client, name: &str) -> bool {
    let described = client
        .describe_table()
        .table_name(name)
        .send()
        .await
        .unwrap();
    let status = described.table.and_then(|table| table.table_status);
    status == Some(aws_sdk_dynamodb::types::TableStatus::Active)
}
