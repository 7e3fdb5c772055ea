//! The contract's clauses, on our own S3 over HTTP. The server is ended with the runtime of its test.

use two_buckets_aws::{S3Store, S3StoreOptions};
use two_buckets_objects::BucketName;

use super::server::{Server, bucket};

async fn subject(options: S3StoreOptions) -> (S3Store, BucketName) {
    let server = Server::start().await;
    let store = server.store(options);
    std::mem::forget(server);
    (store, bucket())
}

async fn as_s3_is() -> (S3Store, BucketName) {
    subject(S3StoreOptions::default()).await
}

/// Every copy in parts, but those of nothing.
async fn with_copies_in_parts() -> (S3Store, BucketName) {
    subject(S3StoreOptions {
        single_copy_bytes_max: 0,
        ..S3StoreOptions::default()
    })
    .await
}

async fn without_conditional_copies() -> (S3Store, BucketName) {
    subject(S3StoreOptions {
        conditional_copy: false,
        ..S3StoreOptions::default()
    })
    .await
}

mod at_once {
    two_buckets_contracts::object_store_contract!(super::as_s3_is);
}

mod in_parts {
    two_buckets_contracts::object_store_contract!(super::with_copies_in_parts);
}

mod looking_before {
    two_buckets_contracts::object_store_contract!(super::without_conditional_copies);
}
