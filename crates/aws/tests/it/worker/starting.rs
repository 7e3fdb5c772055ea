//! Which buckets the pipeline starts on.

use two_buckets_aws::worker::{NotFit, check_buckets};
use two_buckets_depot::Versioning;

use crate::s3::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_keeps_no_versions_is_refused() {
    let server = Server::start().await;
    let fit = server.make_bucket("fit");
    server
        .depot
        .set_versioning(&fit, Versioning::Enabled)
        .unwrap();
    let never = server.make_bucket("never");
    let suspended = server.make_bucket("suspended");
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        server.depot.set_versioning(&suspended, versioning).unwrap();
    }
    assert_eq!(check_buckets(&server.client, &[&fit]).await, Ok(()));
    for unfit in [never, suspended] {
        assert_eq!(
            check_buckets(&server.client, &[&fit, &unfit]).await,
            Err(NotFit::NotVersioned(unfit))
        );
    }
    let absent = "absent".parse().unwrap();
    let unknown = check_buckets(&server.client, &[&absent]).await;
    assert!(
        matches!(unknown, Err(NotFit::Unknown { .. })),
        "{unknown:?}"
    );
}
