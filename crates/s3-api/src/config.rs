use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_objects::{BucketName, Key, Timestamp};

use crate::notifications::Notifications;
use crate::{FindFault, Pins, Sts};

/// Says why a key must not be written by a client, if it must not.
pub type RefuseWrite = Arc<dyn Fn(&BucketName, &Key) -> Option<String> + Send + Sync>;

/// How to run the service.
#[derive(Clone)]
pub struct Config {
    /// The store behind.
    pub depot: Depot,
    /// Who may sign: the owner, who may do everything, and the sessions of the roles.
    pub sts: Sts,
    /// What the sessions of [`FUNCTION_ROLE`](crate::FUNCTION_ROLE) are bound to. If there is none, they may do nothing.
    pub pins: Option<Pins>,
    /// The public domain, in lower case, whose sub-domains name buckets as those of `localhost` do; none if there is none.
    pub domain: Option<String>,
    /// The region the service says it is in. Signatures for any region are accepted.
    pub region: String,
    /// Where the time comes from that signatures are checked against.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Asked before a client writes a key: PUT, copy, multipart. Must not block.
    pub refuse_write: Option<RefuseWrite>,
    /// Buckets that are a queue: no lifecycle rule may expire versions there.
    pub staging_buckets: Vec<BucketName>,
    /// Who keeps the events that buckets' configurations ask for. If there is none, such configurations are refused.
    pub notifications: Option<Notifications>,
    /// What goes wrong though nothing is wrong, if anything shall.
    pub faults: Option<FindFault>,
    /// Bounds of the listener.
    pub limits: Limits,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("sts", &self.sts)
            .field("region", &self.region)
            .field("staging_buckets", &self.staging_buckets)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of the listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most connections served at once; more wait to be accepted.
    pub connections_max: usize,
    /// The most connections of one client address (of IPv6, one /64) at once; more are closed as they come.
    pub connections_per_client_max: usize,
    /// How long a client may take for the TLS handshake.
    pub handshake_timeout: Duration,
    /// How long a client may take for the head of a request, and a connection may stay idle between two.
    pub header_read_timeout: Duration,
    /// How long requests may go on once the service is told to stop.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    /// 1,024 connections, all of which one client may have, 10 s for a handshake, 60 s for a request's head, 30 s to
    /// drain.
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_client_max: 1024,
            handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
