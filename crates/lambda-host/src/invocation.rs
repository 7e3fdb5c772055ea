//! What goes into an invocation and what comes out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// Gets what the function writes to stdout and stderr while an invocation runs, as it comes: any bytes, cut anywhere.
/// Called on the runtime's threads, so it must not block.
pub type Log = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// One event for the function.
#[derive(Clone)]
pub struct Invocation {
    /// The event, JSON; at most [`PAYLOAD_BYTES_MAX`](crate::PAYLOAD_BYTES_MAX).
    pub payload: Bytes,
    /// Gets stdout and stderr.
    pub log: Log,
    /// `Lambda-Runtime-Trace-Id`, an X-Ray header, which runtimes hand on as `_X_AMZN_TRACE_ID`. Must be a legal HTTP header value; left out otherwise.
    pub trace_id: Option<String>,
}

impl Invocation {
    /// An invocation whose log goes nowhere and that is not traced.
    pub fn new(payload: impl Into<Bytes>) -> Invocation {
        Invocation {
            payload: payload.into(),
            log: Arc::new(|_| {}),
            trace_id: None,
        }
    }
}

impl fmt::Debug for Invocation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Invocation")
            .field("payload_bytes", &self.payload.len())
            .field("trace_id", &self.trace_id)
            .finish_non_exhaustive()
    }
}

/// What the function returned.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its bytes, JSON as a rule; at most [`RESPONSE_BYTES_MAX`](crate::RESPONSE_BYTES_MAX).
    pub payload: Bytes,
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: String,
    /// From when the event was given to the runtime until its response was there.
    pub duration: Duration,
    /// From the start of the environment until it was ready; only for its first invocation.
    pub init_duration: Option<Duration>,
    /// The most memory that the environment was seen to take up so far, all its processes together.
    pub memory_bytes_max: u64,
}
