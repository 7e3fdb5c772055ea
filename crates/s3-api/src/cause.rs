//! What a request was, for those who are told of what it changed.
//!
//! The request's task carries it to the calls on the store that it makes, whatever lies between.

use std::net::IpAddr;
use std::sync::Arc;

use two_buckets_depot::{Depot, Transaction};

/// A request whose signature holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RequestCause {
    /// The id in its answer.
    pub(crate) request_id: String,
    /// Whose key signed it; of a session, the role's id and the session's name.
    pub(crate) principal: String,
    /// From where it came.
    pub(crate) address: Option<IpAddr>,
    /// Whether it was a form.
    pub(crate) is_form: bool,
}

tokio::task_local! {
    static CAUSE: Arc<RequestCause>;
}

impl RequestCause {
    /// Runs what a request does.
    pub(crate) async fn run<T>(self, work: impl Future<Output = T>) -> T {
        CAUSE.scope(Arc::new(self), work).await
    }

    /// The store as the request that this task works on uses it.
    pub(crate) fn current(depot: &Depot) -> Depot {
        match CAUSE.try_with(Arc::clone) {
            Ok(cause) => depot.caused_by(cause),
            Err(_) => depot.clone(),
        }
    }

    /// The request that a transaction is done for.
    pub(crate) fn of(tx: &Transaction<'_>) -> Option<Arc<Self>> {
        tx.cause()
            .and_then(|cause| Arc::clone(cause).downcast::<Self>().ok())
    }
}
