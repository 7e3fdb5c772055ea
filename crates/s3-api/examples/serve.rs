//! Serves a data folder over S3: `serve FOLDER ADDRESS ACCESS_KEY_ID SECRET_ACCESS_KEY`. For trying clients by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use two_buckets_depot::{Depot, Options};
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{Config, Credentials, Limits, S3Service, Sts, uploader_role};

#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of the clock here"
)]
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("see the head of this file");
    let (folder, address) = (next()?, next()?);
    let credentials = Credentials {
        access_key_id: next()?,
        secret_access_key: next()?,
    };
    // The uploader role may put into the bucket `staging`.
    let depot = Depot::open(
        folder.as_ref(),
        Options {
            clock: Arc::new(now),
            just_moved_grace: Duration::from_secs(5),
            small_body_bytes_max: 128 << 10,
            on_created: None,
            record_change: None,
        },
    )?;
    let service = S3Service::new(Config {
        depot,
        sts: Sts::new(credentials, vec![uploader_role(&"staging".parse()?)])?,
        region: "us-east-1".into(),
        clock: Arc::new(now),
        pins: None,
        refuse_write: None,
        faults: None,
        notifications: None,
        staging_buckets: Vec::new(),
        domain: None,
        limits: Limits::default(),
    });
    let listener = tokio::net::TcpListener::bind(address).await?;
    let stop = async {
        tokio::signal::ctrl_c()
            .await
            .expect("the process can wait for signals");
    };
    service.serve(listener, Limits::default(), stop).await;
    Ok(())
}
