//! The server: everything on one machine, put together.
//!
//! This is composition only. What a request means is said in `s3-api` and `uploads`, what becomes of a file in
//! `pipeline`, what is on the disk in `depot`.

mod banner;
mod buckets;
mod folder;
mod forgetting;
pub(crate) mod functions;
mod issuer;
mod listener;
pub(crate) mod record;
mod renewal;
pub(crate) mod signals;
pub(crate) mod strays;
mod tls;
mod token_file;
mod upkeep;
mod web;

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tokio::sync::{oneshot, watch};
use two_buckets_depot::{Depot, Options};
use two_buckets_local::{
    DepotLedger, DepotStore, LedgerTracker, WakeQueue, WorkerOptions, Workers,
};
use two_buckets_objects::{BucketName, Key};
use two_buckets_pipeline as pipeline;
use two_buckets_pipeline::archive::{LATE_PREFIX, RESULTS_PREFIX};
use two_buckets_pipeline::{DynProcessor, Holder, Processor as _, Settings as PipelineSettings};
use two_buckets_s3_api::{
    Config, Credentials, FUNCTION_ROLE, Limits, Listening, Pins, Role, S3Service, Sts,
    TrustedProxies, function_role, uploader_role,
};
use two_buckets_uploads::{Access, Callers, Faults, Issuer, KnownCallers, WebOrigin};

use crate::clock;
use crate::config::{Environment, Origin, Reach, Settings};
use crate::failure::Failure;
use crate::faults;
use crate::job::starter::Starter;
use crate::job::{Tickets, desk};
use crate::metrics;
use crate::notifications::{self, Delivery};
use crate::root_key::{RootKey, random_text};
use banner::Banner;
use functions::Found;
use listener::Listener;
use record::{LeftRecord, Running};
use renewal::Renewal;
use signals::Signals;
use tls::Tls;

/// How long requests and files in work may go on once the server was told to stop. Service managers kill after 90 s
/// (systemd, `DefaultTimeoutStopSec`) or 30 s (Kubernetes, `terminationGracePeriodSeconds`).
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// The longest wait for the head of a request to the page, idle time between requests included. Clients keep connections
/// for about a minute (boto3, the Go SDK 90 s) and open another when theirs is closed.
const WEB_HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// Bodies up to this size live in the store's log, larger ones in a file of their own.
const SMALL_BODY_BYTES_MAX: usize = 128 << 10;
/// As long as the token's alphabet makes it unguessable: 238 bits.
const ADMIN_TOKEN_LENGTH: usize = 40;

/// Runs the server until it is told to stop and has drained. The words are those of its command line, for jobs.
pub(crate) async fn run(
    processor: Arc<dyn DynProcessor>,
    settings: &Settings,
    environment: &Environment,
    words: Vec<OsString>,
) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let data = &settings.data.value;
    let (staging, archive) = (&settings.staging.value, &settings.archive.value);
    let renewal = Renewal::open(settings)?;
    let issuer = issuer::of(&settings.callers)?;
    folder::make(data)?;
    let functions = Found::find(settings, environment).await?;
    let queue = WakeQueue::default();
    let faults = faults_of(settings)?;
    let keeper = notifications::keeper(&settings.region.value, &settings.notifications.value);
    let depot = folder::open_store(
        data,
        Options {
            clock: Arc::new(clock::now),
            just_moved_grace: settings.just_moved_grace.value,
            small_body_bytes_max: SMALL_BODY_BYTES_MAX,
            on_created: Some(queue.on_created(
                staging.clone(),
                Some(faults.for_events(staging.clone(), clock::now)),
            )),
            record_change: Some(keeper.recorder()),
        },
    )?;
    let delivery = Delivery::open(keeper.clone(), depot.clone(), &settings.notifications.value)?;
    let s3 = Listener::bind("S3", "s3", settings.s3.value).await?;
    let web = Listener::bind("the page", "web", settings.web.value).await?;
    let jobs_listener =
        Listener::bind("jobs", "data", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let root_key = RootKey::find_or_make(data, environment)?;
    let abort_incomplete_days = settings.abort_incomplete_days.value;
    buckets::ensure(&depot, staging, abort_incomplete_days)?;
    buckets::ensure(&depot, archive, abort_incomplete_days)?;
    let reach = &settings.reach;
    let s3_origin = reach.s3_origin(s3.address());
    let web_origin = reach.web_origin(web.address());
    buckets::allow_pages(
        &depot,
        staging,
        &page_origins(&web_origin, web.address(), reach),
    )?;

    let (stop, stopping) = watch::channel(false);
    let admin_token = random_text(
        ADMIN_TOKEN_LENGTH,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    )?;
    let functions_role = functions_role(settings);
    let sts = sts(settings, root_key.clone(), &functions_role)?;
    let pins = Pins::new();
    let (processor, running) =
        functions.start(processor, settings, &sts, &functions_role, &pins)?;
    let name = processor.name();
    let lanes = processor.lanes();
    let routes = processor.jobs(settings.job.from_bytes.value);
    let ledger = DepotLedger::open(depot.clone())
        .map_err(|error| Failure::failed(format!("the ledger cannot be opened: {error}")))?;
    let forgetting = forgetting::keep_bounded(
        ledger.clone(),
        forgetting::history(settings),
        told(&stopping),
    );
    let workers = Workers::start(
        depot.clone(),
        ledger.clone(),
        queue.clone(),
        processor,
        pipeline_settings(settings, routes),
        &WorkerOptions {
            workers: settings.workers.value,
            sweep_every: settings.sweep_interval.value,
            drain_wait_max: DRAIN_MAX,
            lanes,
        },
    )
    .map_err(|error| Failure::failed(error.to_string()))?;
    let jobs = workers.jobs(pins.clone());
    jobs.take_on()
        .await
        .map_err(|error| Failure::failed(format!("the jobs cannot be looked through: {error}")))?;
    let tickets = Tickets::new(&root_key.secret_access_key);
    let starter = Starter::new(
        jobs.clone(),
        tickets.clone(),
        data,
        words,
        settings.job.concurrency.value,
    )?;
    let desk = TowerToHyperService::new(desk::service(
        jobs,
        tickets,
        settings.digest(),
        running.address().map(|address| format!("http://{address}")),
    ));
    let limits = Limits {
        drain_timeout: DRAIN_MAX,
        ..Limits::default()
    };
    let s3_service = S3Service::new(Config {
        depot: depot.clone(),
        sts: sts.clone(),
        region: settings.region.value.clone(),
        clock: Arc::new(clock::now),
        pins: Some(pins),
        refuse_write: Some(Arc::new(refuse_reserved(staging, archive))),
        staging_buckets: vec![staging.clone()],
        notifications: Some(keeper),
        faults: Some(faults.for_calls()),
        domain: reach.s3_url.value.as_ref().map(|url| url.host().to_owned()),
        limits,
    });
    let page = web::service(
        web::Parts {
            settings,
            s3: &s3_origin,
            web: &web_origin,
            access: Access {
                bound: web.address(),
                is_tls: reach.has_tls(),
                public: reach.web_url.value.clone(),
                allowed_origins: reach.allow_origin.value.clone(),
                admin_token: admin_token
                    .parse()
                    .map_err(|error| Failure::failed(format!("the admin token: {error}")))?,
                callers: callers(settings, &renewal, issuer.as_ref()),
                requests_per_minute: settings.callers.requests_per_minute.value,
                now: Arc::new(clock::now),
            },
            sts,
            depot: depot.clone(),
            stopping: stopping.clone(),
            processor: &name,
            faults: faults.clone(),
            metrics: metrics::Sources {
                depot: depot.clone(),
                ledger: ledger.clone(),
                queue: queue.clone(),
                s3: s3_service.clone(),
                functions: running.functions(),
            },
            delivery: delivery.clone(),
        },
        |facts| LedgerTracker {
            facts,
            ledger,
            store: DepotStore::new(depot.clone()),
            queue,
            sweeper: workers.sweep_handle(),
        },
    )?;
    let listening = |name, bound, header_read_timeout| -> Result<Listening, Failure> {
        Ok(Listening {
            name,
            limits: Limits {
                header_read_timeout,
                connections_per_client_max: reach
                    .connections_per_client_max(bound, limits.connections_max),
                ..limits
            },
            tls: renewal
                .tls()
                .map(Tls::config)
                .transpose()
                .map_err(Failure::failed)?,
            proxies: TrustedProxies::new(reach.behind_proxy.value.iter().copied()),
        })
    };
    let s3_listening = listening("S3", s3.address(), limits.header_read_timeout)?;
    let web_listening = listening("the page", web.address(), WEB_HEAD_TIMEOUT)?;
    let functions_s3 = s3_service.clone();
    let run_folder = running.folder();
    let record = LeftRecord::leave(
        data,
        &Running {
            s3: reach.local_origin(s3.address()).to_string(),
            web: reach.local_origin(web.address()).to_string(),
            jobs: format!("http://{}", jobs_listener.address()),
            region: &settings.region.value,
            staging: staging.as_str(),
            archive: archive.as_str(),
            access_key_id: &root_key.access_key_id,
            admin_token: &admin_token,
            certificate: renewal.tls().map(Tls::certificate),
            certificate_file: reach
                .tls_cert
                .value
                .as_deref()
                .map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
        },
    )?;
    let (s3_url, web_url) = (s3_origin.to_string(), web_origin.to_string());
    Banner {
        page: cfg!(feature = "page").then_some(web_url.as_str()),
        s3: &s3_url,
        data,
        is_default_data: settings.data.origin == Origin::Default,
        staging: staging.as_str(),
        processor: &name,
        faults: Faults::rules(&faults).len(),
        memory: running.memory(),
    }
    .show();
    tracing::info!(s3 = s3_url, web = web_url, "ready");

    let (drained, are_drained) = watch::channel(false);
    let (jobs_left, are_jobs_left) = oneshot::channel();
    let unneeded = || told(&are_drained);
    let jobs_listening = Listening {
        name: "jobs",
        limits,
        tls: None,
        proxies: TrustedProxies::default(),
    };
    let serving = async {
        tokio::join!(
            s3.serve_s3(s3_service, s3_listening, told(&stopping)),
            web.serve_web(page, web_listening, told(&stopping)),
            renewal.keep_up(&record, told(&stopping)),
            issuer::keep_fresh(issuer, told(&stopping)),
            delivery.run(unneeded),
            async {
                told(&stopping).await;
                tokio::join!(workers.drain(), async {
                    // Jobs that are stopped with the server have something to say yet.
                    _ = are_jobs_left.await;
                });
                // Whoever listens is gone when the functions are, which is what this is for.
                drained.send_replace(true);
            },
            running.serve(functions_s3, limits, unneeded()),
            jobs_listener.serve_web(desk, jobs_listening, unneeded()),
            async {
                starter.run(told(&stopping)).await;
                _ = jobs_left.send(());
            },
            keep_up(&depot, told(&stopping)),
            forgetting,
        )
    };
    let until_told = async {
        signals.next().await;
        tracing::info!(
            "stopping: requests and files in work may end first, at most {} s",
            DRAIN_MAX.as_secs()
        );
        // Every receiver lives in the tasks that this ends.
        stop.send_replace(true);
        tokio::spawn(signals.exit_at_next(move |code| strays::end_all_and_exit(&run_folder, code)));
    };
    let ((), _) = tokio::join!(until_told, serving);
    drop(record);
    drop(depot);
    tracing::info!("stopped");
    Ok(())
}

/// Faults that are switched on from the start, or none.
fn faults_of(settings: &Settings) -> Result<faults::Switch, Failure> {
    let faults = faults::Switch::default();
    if let Some(file) = &settings.faults.value {
        let rules = faults::read_file(file)?;
        faults.set(&rules).map_err(|problem| {
            Failure::usage(format!("the faults in {}: {problem}", file.display()))
        })?;
    }
    Ok(faults)
}

/// What gives sessions of all roles. It keeps nothing, so another process with the root key gives the same.
pub(crate) fn sts(
    settings: &Settings,
    root_key: RootKey,
    functions_role: &Role,
) -> Result<Sts, Failure> {
    let mut roles = vec![
        uploader_role(&settings.staging.value),
        functions_role.clone(),
    ];
    let others = settings.roles.value.iter();
    roles.extend(others.filter(|role| role.name != FUNCTION_ROLE).cloned());
    let credentials = Credentials {
        access_key_id: root_key.access_key_id,
        secret_access_key: root_key.secret_access_key,
    };
    Sts::new(credentials, roles).map_err(|error| Failure::usage(error.to_string()))
}

/// The role of functions: the built-in one, unless the settings have one of its name.
pub(crate) fn functions_role(settings: &Settings) -> Role {
    let configured = &settings.roles.value;
    let found = configured.iter().find(|role| role.name == FUNCTION_ROLE);
    found
        .cloned()
        .unwrap_or_else(|| function_role(&settings.staging.value, &settings.archive.value))
}

/// Who may call: whoever is on this machine, unless callers are named.
fn callers(settings: &Settings, renewal: &Renewal, issuer: Option<&Issuer>) -> Callers {
    if settings.callers.are_known() {
        Callers::Known(KnownCallers {
            tokens: renewal.tokens().unwrap_or_default(),
            issuer: issuer.cloned(),
        })
    } else {
        Callers::ThisMachine
    }
}

/// Where pages are that may upload to staging: ours under each of its names, and those that are allowed beside.
fn page_origins(public: &WebOrigin, bound: SocketAddr, reach: &Reach) -> Vec<WebOrigin> {
    let by_name = format!("{}://localhost:{}", public.scheme(), bound.port()).parse();
    let mut origins = vec![public.clone(), reach.local_origin(bound)];
    origins.extend(by_name.ok());
    origins.extend(reach.allow_origin.value.iter().cloned());
    let mut seen = HashSet::new();
    origins.retain(|origin| seen.insert(origin.clone()));
    origins
}

fn pipeline_settings(settings: &Settings, routes: pipeline::Routes) -> PipelineSettings {
    PipelineSettings {
        routes,
        attempts_max: settings.max_attempts.value,
        ..PipelineSettings::new(
            settings.staging.value.clone(),
            settings.archive.value.clone(),
            Holder(format!("process {}", std::process::id())),
        )
    }
}

/// Ends when the server is told to stop.
fn told(stopping: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopping = stopping.clone();
    async move {
        // The sender is gone when the server is, which is a stop as well.
        _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// Only the pipeline writes what it makes.
fn refuse_reserved(
    staging: &BucketName,
    archive: &BucketName,
) -> impl Fn(&BucketName, &Key) -> Option<String> + Send + Sync + 'static {
    let buckets = [staging.clone(), archive.clone()];
    move |bucket, key| {
        if !buckets.contains(bucket) {
            return None;
        }
        [RESULTS_PREFIX, LATE_PREFIX]
            .into_iter()
            .find(|prefix| key.as_str().starts_with(prefix))
            .map(|prefix| format!("keys that begin with {prefix} are reserved for the pipeline"))
    }
}

/// Does what is due on a schedule until told to stop.
async fn keep_up(depot: &Depot, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    loop {
        let depot = depot.clone();
        match tokio::task::spawn_blocking(move || upkeep::run(&depot)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "unfinished uploads could not be looked through; next time again");
            }
            Err(error) => tracing::error!(%error, "looking for unfinished uploads broke"),
        }
        tokio::select! {
            () = tokio::time::sleep(upkeep::INTERVAL) => {}
            () = &mut stop => return,
        }
    }
}
