//! Which processor a file is given to: ordered rules, of which the first that takes it decides.

pub(crate) mod rule;

use std::sync::Arc;

use tokio::sync::Semaphore;
use two_buckets_local::Lanes;
use two_buckets_objects::ObjectInfo;
use two_buckets_pipeline as pipeline;
use two_buckets_pipeline::{DynProcessor, Incoming, ProcessError, Processor, Report};

use crate::config::{Bounds, Route};
use rule::Facts;

/// Gives each file to the processor of the first route that takes it, within that route's bounds; what none takes goes to
/// the default.
pub(crate) struct Routes {
    routes: Arc<[Ready]>,
    default: Arc<dyn DynProcessor>,
}

/// A route with what it leads to.
struct Ready {
    route: Route,
    processor: Arc<dyn DynProcessor>,
    /// The places on it; none where no bound is set.
    room: Option<Semaphore>,
}

impl Routes {
    /// These routes, in their order, each with what it leads to.
    pub(crate) fn new(
        routes: impl IntoIterator<Item = (Route, Arc<dyn DynProcessor>)>,
        default: Arc<dyn DynProcessor>,
    ) -> Self {
        let routes = routes.into_iter().map(|(route, processor)| Ready {
            room: route.bounds.concurrency.map(Semaphore::new),
            route,
            processor,
        });
        Self {
            routes: routes.collect(),
            default,
        }
    }

    /// Which files are jobs: those of routes that say so, and all from a size on.
    pub(crate) fn jobs(&self, from_bytes: Option<u64>) -> pipeline::Routes {
        let routes = Arc::clone(&self.routes);
        pipeline::Routes::new(move |file| {
            let is_routed = first(&routes, facts(file)).is_some_and(|at| routes[at].route.is_job);
            if is_routed || from_bytes.is_some_and(|least| file.size_bytes >= least) {
                pipeline::Route::Job
            } else {
                pipeline::Route::Inline
            }
        })
    }

    /// The bounds on how many are in work at once, for those who hand out work.
    pub(crate) fn lanes(&self) -> Lanes {
        let bounded = |ready: &Ready| ready.route.bounds.concurrency;
        let bounds: Vec<usize> = self.routes.iter().filter_map(bounded).collect();
        let routes = Arc::clone(&self.routes);
        Lanes::new(bounds, move |file| {
            let at = first(&routes, facts(file))?;
            bounded(&routes[at])?;
            Some(routes[..at].iter().filter_map(bounded).count())
        })
    }
}

impl Processor for Routes {
    fn name(&self) -> String {
        let default = self.default.name_boxed();
        let names: Vec<&str> = self
            .routes
            .iter()
            .map(|it| it.route.name.as_str())
            .collect();
        match names.as_slice() {
            [] => default,
            names => format!("{}, else {default}", names.join(", ")),
        }
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        match first(&self.routes, facts(&upload.source)) {
            Some(at) => self.routes[at].process(upload).await,
            None => self.default.process_boxed(upload).await,
        }
    }
}

impl Ready {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let Bounds {
            concurrency: _,
            timeout,
            max_attempts,
            backoff,
        } = self.route.bounds;
        let tries = upload.tries;
        let is_last = max_attempts.is_some_and(|max| tries >= max);
        if let Some(max) = max_attempts.filter(|max| tries > *max) {
            // A crash or the end of the server took the last attempt.
            return Err(ProcessError::Permanent(format!(
                "the {max} attempts of the route {} are used up",
                self.route.name
            )));
        }
        if let Some(backoff) = backoff {
            upload.retry_after.at_least(backoff);
        }
        // Lanes keep nearly all who would wait here from being handed out.
        let _place =
            match &self.room {
                Some(room) => Some(room.acquire().await.map_err(|_closed| {
                    ProcessError::Transient("the server is stopping".to_owned())
                })?),
                None => None,
            };
        let run = self.processor.process_boxed(upload);
        let result = match timeout {
            None => run.await,
            Some(timeout) => tokio::time::timeout(timeout, run)
                .await
                .unwrap_or_else(|_| {
                    Err(ProcessError::Transient(format!(
                        "it took longer than the {} s of the route {}",
                        timeout.as_secs(),
                        self.route.name
                    )))
                }),
        };
        match result {
            Err(ProcessError::Transient(reason) | ProcessError::Crashed(reason)) if is_last => {
                Err(ProcessError::Permanent(reason))
            }
            result => result,
        }
    }
}

/// The index of the first route that takes a file.
fn first(routes: &[Ready], file: Facts<'_>) -> Option<usize> {
    routes
        .iter()
        .position(|ready| ready.route.rule.check(file).is_ok())
}

fn facts(file: &ObjectInfo) -> Facts<'_> {
    Facts {
        key: file.at.key.as_str(),
        media_type: file.metadata.content_type.as_deref(),
        size_bytes: file.size_bytes,
    }
}
