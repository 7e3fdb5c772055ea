//! The web listener: the page and the upload API, behind the guards against foreign pages.

use std::sync::Arc;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tower::Layer as _;
use two_buckets_depot::Depot;
use two_buckets_local::{DepotGrants, GrantOptions};
use two_buckets_s3_api::Sts;
use two_buckets_uploads::{
    Access, Guard, GuardLayer, KeyTemplate, S3Address, ServerFacts, Sources, Tracker, UntilStop,
    UploadApi, WebOrigin, router,
};

use crate::clock;
use crate::config::Settings;
use crate::failure::Failure;
use crate::faults::Switch;
use crate::metrics;
use crate::notifications::Delivery;

/// What answers there.
pub(super) type WebService = TowerToHyperService<Guard<Router>>;

/// What the web listener is made of.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    /// Where clients find S3.
    pub(super) s3: &'a WebOrigin,
    /// Where they find the page.
    pub(super) web: &'a WebOrigin,
    /// How the listener is reached, and by whom.
    pub(super) access: Access,
    pub(super) sts: Sts,
    pub(super) depot: Depot,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) processor: &'a str,
    /// What switches faults on and off.
    pub(super) faults: Switch,
    /// What tells a monitoring system's figures.
    pub(super) metrics: metrics::Sources,
    /// What sends events.
    pub(super) delivery: Delivery,
}

/// Puts the service together.
pub(super) fn service<T: Tracker>(
    parts: Parts<'_>,
    tracker: impl FnOnce(ServerFacts) -> T,
) -> Result<WebService, Failure> {
    let Parts {
        settings, s3, web, ..
    } = &parts;
    let endpoint = s3.to_string();
    let facts = ServerFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        page_url: cfg!(feature = "page").then(|| format!("{web}/")),
        s3: S3Address {
            endpoint: endpoint.clone(),
            region: settings.region.value.clone(),
        },
        staging: settings.staging.value.clone(),
        archive: settings.archive.value.clone(),
        processor: parts.processor.to_owned(),
        // The tracker says whether it is.
        paused: None,
    };
    let api = router(UploadApi {
        tracker: tracker(facts),
        grants: DepotGrants::new(GrantOptions {
            sts: parts.sts.clone(),
            region: settings.region.value.clone(),
            endpoint: endpoint.clone(),
            staging: settings.staging.value.clone(),
            depot: parts.depot.clone(),
            clock: Arc::new(clock::now),
        }),
        key_template: KeyTemplate::default(),
        sources: Sources {
            now: Arc::new(clock::now),
            random: Arc::new(random),
        },
        until_stop: UntilStop({
            let stopping = parts.stopping.clone();
            Arc::new(move || Box::pin(super::told(&stopping)))
        }),
        faults: Some(Arc::new(parts.faults.clone())),
        metrics: Some(Arc::new(parts.metrics)),
        notifications: Some(Arc::new(parts.delivery)),
    });
    let page = two_buckets_page::router(&[endpoint.as_str()])
        .map_err(|error| Failure::failed(error.to_string()))?;
    let guard = GuardLayer::new(parts.access).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(TowerToHyperService::new(guard.layer(api.merge(page))))
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gave randomness when the server started");
    u128::from_le_bytes(bytes)
}
