//! An issuer of tokens: its public keys, found by discovery, kept for a while, and asked for again in bounds.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::lock::MutexGuard;
use serde::Deserialize;
use two_buckets_objects::Timestamp;

use super::jwt::{Algorithm, Keys, Refused, TokenRules, Unverified};
use crate::Caller;

/// How long keys are used before they are asked for again. A key that its issuer withdraws is believed that long.
pub(super) const KEYS_LIFE: Duration = Duration::from_mins(10);
/// The least time between two questions to the issuer, whatever tokens are sent: those that name keys nobody has would
/// otherwise make us knock at it with every request.
pub(super) const ASK_PAUSE: Duration = Duration::from_secs(10);
/// How long keys go on being used while the issuer cannot be reached. Beyond, a withdrawn key must be feared.
pub(super) const KEYS_AWAY_MAX: Duration = Duration::from_hours(6);

const _: () = assert!(ASK_PAUSE.as_secs() < KEYS_LIFE.as_secs());
const _: () = assert!(KEYS_LIFE.as_secs() < KEYS_AWAY_MAX.as_secs());

/// Gets a document: the body of a `GET` that was answered 200, within bounds of size and time of its own and without
/// following another address, or in words why there is none. Dropping the future ends the attempt.
pub type FetchDocument =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Where an issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeysAddress {
    /// Where its discovery document says: `{issuer}/.well-known/openid-configuration` (`OpenID` Connect Discovery 1.0).
    Discovered,
    /// At this URL.
    Url(String),
}

/// One whose tokens are believed. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    rules: TokenRules,
    algorithms: Vec<Algorithm>,
    address: KeysAddress,
    fetch: FetchDocument,
    known: Mutex<Known>,
    /// Held by the one who asks the issuer.
    asking: futures::lock::Mutex<()>,
}

#[derive(Default, Clone)]
struct Known {
    keys: Option<Arc<Keys>>,
    /// When these keys came.
    fetched_at: Timestamp,
    /// When the issuer was last asked, whether it answered or not.
    asked_at: Option<Timestamp>,
}

/// Why there is no answer whether a token is good.
pub(super) enum Unsettled {
    /// It is not.
    Refused(Refused),
    /// Its issuer's keys are not known and cannot be had now.
    IssuerAway,
}

#[derive(Deserialize)]
struct DiscoveryJson {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// An issuer whose keys are not known yet.
    pub fn new(
        rules: TokenRules,
        algorithms: Vec<Algorithm>,
        address: KeysAddress,
        fetch: FetchDocument,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                rules,
                algorithms,
                address,
                fetch,
                known: Mutex::default(),
                asking: futures::lock::Mutex::new(()),
            }),
        }
    }

    /// How often to [`prepare`](Self::prepare), so that no caller waits for the issuer.
    pub const PREPARE_EVERY: Duration = KEYS_LIFE.checked_div(2).expect("two is not zero");

    /// Asks for the keys now, so that a wrong address is noticed before the first caller comes. In words why there are
    /// none; they are asked for again when a caller comes. Does nothing where they were asked for just now.
    pub async fn prepare(&self, now: Timestamp) -> Result<(), String> {
        let _only = self.inner.asking.lock().await;
        if self.was_just_asked(now) {
            return Ok(());
        }
        self.ask(now).await
    }

    /// The caller whom this token speaks of. Dropping the future may leave the issuer asked and its answer unheard;
    /// the next one asks again after [`ASK_PAUSE`].
    pub(super) async fn caller(&self, token: &str, now: Timestamp) -> Result<Caller, Unsettled> {
        let token = Unverified::parse(token, &self.inner.algorithms).map_err(Unsettled::Refused)?;
        let usable = |known: &Known| {
            let age = now.since(known.fetched_at);
            known.keys.clone().filter(|_| age <= KEYS_AWAY_MAX)
        };
        let known = self.known();
        match usable(&known) {
            Some(keys) if !token.key_is_unknown(&keys) => {
                // Old keys are good enough to go on with while somebody else asks for new ones.
                if now.since(known.fetched_at) > KEYS_LIFE
                    && let Some(only) = self.inner.asking.try_lock()
                {
                    self.ask_if_it_is_time(&only, now).await;
                }
            }
            _ => {
                let only = self.inner.asking.lock().await;
                self.ask_if_it_is_time(&only, now).await;
            }
        }
        let keys = usable(&self.known()).ok_or(Unsettled::IssuerAway)?;
        token
            .verify(&keys, &self.inner.rules, now)
            .map_err(Unsettled::Refused)
    }

    async fn ask_if_it_is_time(&self, _only: &MutexGuard<'_, ()>, now: Timestamp) {
        // Whoever waited for the lock finds here what the one who held it was told, or not told, just now.
        if self.was_just_asked(now) {
            return;
        }
        if let Err(reason) = self.ask(now).await {
            tracing::warn!(
                issuer = self.inner.rules.issuer,
                "the keys of the issuer of tokens cannot be had: {reason}"
            );
        }
    }

    fn was_just_asked(&self, now: Timestamp) -> bool {
        let asked_at = self.known().asked_at;
        asked_at.is_some_and(|asked_at| now.since(asked_at) < ASK_PAUSE)
    }

    async fn ask(&self, now: Timestamp) -> Result<(), String> {
        self.change(|known| known.asked_at = Some(now));
        let keys = Arc::new(self.inner.fetch_keys().await?);
        self.change(|known| {
            known.keys = Some(keys);
            known.fetched_at = now;
        });
        Ok(())
    }

    fn known(&self) -> Known {
        self.inner
            .known
            .lock()
            .expect("nothing panics while it is held")
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(
            &mut self
                .inner
                .known
                .lock()
                .expect("nothing panics while it is held"),
        );
    }
}

impl Inner {
    async fn fetch_keys(&self) -> Result<Keys, String> {
        let url = match &self.address {
            KeysAddress::Url(url) => url.clone(),
            KeysAddress::Discovered => self.discover().await?,
        };
        let set = (self.fetch)(url.clone())
            .await
            .map_err(|error| format!("{url}: {error}"))?;
        Keys::parse(&set).map_err(|error| format!("{url} {error}"))
    }

    async fn discover(&self) -> Result<String, String> {
        let issuer = &self.rules.issuer;
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.strip_suffix('/').unwrap_or(issuer)
        );
        let document = (self.fetch)(url.clone())
            .await
            .map_err(|error| format!("{url}: {error}"))?;
        let found: DiscoveryJson = serde_json::from_slice(&document)
            .map_err(|error| format!("{url} is no discovery document: {error}"))?;
        // An exact comparison, or somebody else's document could stand there (Discovery 1.0, section 4.3).
        if found.issuer != *issuer {
            return Err(format!(
                "{url} says that its issuer is {:?}, which is not exactly {issuer:?}",
                found.issuer
            ));
        }
        // The way to the keys must be as safe as the way to the document that names it.
        if issuer.starts_with("https://") && !found.jwks_uri.starts_with("https://") {
            return Err(format!("{url} names keys that are not behind https"));
        }
        Ok(found.jwks_uri)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("rules", &self.inner.rules)
            .finish_non_exhaustive()
    }
}
