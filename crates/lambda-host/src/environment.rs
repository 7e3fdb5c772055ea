//! One execution environment: what is shared between who invokes it and who supervises it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::environment_id::EnvironmentId;
use crate::exchange::{Event, Exchange, Signal};
use crate::failure::Failure;
use crate::invocation::{Invocation, Response};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::output::{Output, Reader};
use crate::pool::Pool;
use crate::request_id;

/// How long a response is held back for its runtime to ask for the next invocation, which most do within a millisecond:
/// what it writes until then still goes into the invocation's log before `invoke` returns.
const SETTLED_WAIT_MAX: Duration = Duration::from_millis(50);

pub(crate) struct Shared {
    pub(crate) id: EnvironmentId,
    /// The runtime's process.
    pub(crate) pid: Pid,
    pub(crate) pool: Arc<Pool>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    pub(crate) output: Arc<Output>,
    pub(crate) reader: Reader,
    pub(crate) born: Instant,
    pub(crate) invocations: AtomicU32,
    pub(crate) memory_bytes_max: AtomicU64,
    /// Its place among those that may run at the same time; none while it is idle.
    pub(crate) place: Mutex<Option<OwnedSemaphorePermit>>,
    pub(crate) init_duration: Mutex<Option<Duration>>,
    /// How often it was ready: changes when the runtime is done with an invocation.
    pub(crate) settled: watch::Sender<u32>,
    pub(crate) is_gone: watch::Sender<bool>,
    /// Its end has begun.
    pub(crate) is_ending: AtomicBool,
}

impl Shared {
    pub(crate) fn end(&self, why: Failure) {
        // The supervisor is gone only when the environment is.
        self.signals.send(Signal::End(why)).ok();
    }

    pub(crate) fn take_place(&self) -> Option<OwnedSemaphorePermit> {
        self.place
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn put_place(&self, place: OwnedSemaphorePermit) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}

/// One execution environment that is ready and does nothing. Dropping it gives it back to its host.
pub struct Environment {
    shared: Option<Arc<Shared>>,
    id: EnvironmentId,
}

impl fmt::Debug for Environment {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("Environment").field(&self.id).finish()
    }
}

impl Environment {
    pub(crate) fn new(shared: Arc<Shared>) -> Environment {
        Environment {
            id: shared.id.clone(),
            shared: Some(shared),
        }
    }

    /// Its name, the same that [`Config::new_environment`](crate::Config::new_environment) was called with.
    pub fn id(&self) -> &EnvironmentId {
        &self.id
    }

    /// Gives the environment one event and waits for what the function makes of it, until the deadline.
    ///
    /// When this returns an error after which the environment has ended (see [`Failure`]), none of its processes is left.
    /// Dropping the future ends the environment, because its work is not wanted any more. What a runtime writes after its
    /// response, and before it asks for the next invocation, may still reach the log for a moment after this returned.
    pub async fn invoke(mut self, invocation: Invocation) -> Result<Response, Failure> {
        let bytes = invocation.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            let refused = Err(Failure::PayloadTooLarge { bytes });
            if let Some(shared) = &self.shared {
                shared.pool.ended.begin().end(&refused);
            }
            return refused;
        }
        let request_id = request_id::new().map_err(|why| Failure::NotStarted {
            reason: format!("this machine gives no random numbers: {why}"),
        })?;
        let Some(shared) = self.shared.take() else {
            // Only this function takes it, and it takes `self`.
            return Err(Failure::Stopped);
        };
        let unwanted = EndWhenDropped(Some(shared.clone()));
        let counted = shared.pool.ended.begin();
        let result = run(&shared, request_id, invocation).await;
        counted.end(&result);
        unwanted.forget();
        result
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.pool.rest(&shared);
        }
    }
}

async fn run(
    shared: &Arc<Shared>,
    request_id: String,
    invocation: Invocation,
) -> Result<Response, Failure> {
    let limit = shared.pool.config.timeout;
    let began = Instant::now();
    let event = Event {
        request_id: request_id.clone(),
        deadline_unix_ms: clock::unix_ms(limit),
        trace_id: invocation.trace_id,
        payload: invocation.payload,
    };
    shared.output.begin(invocation.log);
    shared.invocations.fetch_add(1, Ordering::Relaxed);
    let mut settled = shared.settled.subscribe();
    let answered = match shared.exchange.give(event, began + limit) {
        Ok(answered) => answered.await.unwrap_or(Err(Failure::Stopped)),
        Err(why) => {
            // It ended between two invocations. Its processes may still be about.
            shared.end(why.clone());
            let mut is_gone = shared.is_gone.subscribe();
            // Fails only when it is gone altogether.
            is_gone.wait_for(|it| *it).await.ok();
            Err(why)
        }
    };
    let duration = began.elapsed();
    let init_duration = shared
        .init_duration
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if matches!(
        answered,
        Ok(_) | Err(Failure::Function { .. } | Failure::ResponseTooLarge)
    ) {
        shared.reader.catch_up().await;
        // Whether it asks in time or not, the answer stands.
        timeout(SETTLED_WAIT_MAX, settled.changed()).await.ok();
    }
    Ok(Response {
        payload: answered?,
        request_id,
        duration,
        init_duration,
        memory_bytes_max: shared.memory_bytes_max.load(Ordering::Relaxed),
    })
}

/// Ends the environment of an invocation that nobody waits for any more.
pub(crate) struct EndWhenDropped(pub(crate) Option<Arc<Shared>>);

impl EndWhenDropped {
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for EndWhenDropped {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.end(Failure::Stopped);
        }
    }
}
