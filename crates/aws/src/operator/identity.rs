//! Who asks, and whether this machine's clock goes as that of AWS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::Clock as _;

use crate::Clients;
use crate::words::words;
use crate::worker::SystemClock;

/// In whose name calls are made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The account.
    pub account: String,
    /// The user or the session of a role.
    pub arn: String,
}

/// By how much two clocks differ at least: the answer tells whole seconds, and came some time after it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clocks {
    /// As far as can be seen they go alike.
    Alike,
    /// This machine's is ahead.
    Ahead(Duration),
    /// This machine's is behind.
    Behind(Duration),
}

impl Clocks {
    /// Of an answer that was asked for and came at these moments, and says this one.
    fn compared(asked_at: Timestamp, came_at: Timestamp, says: Timestamp) -> Self {
        let latest = says.after(Duration::from_secs(1));
        if asked_at > latest {
            Self::Ahead(asked_at.since(latest))
        } else if came_at < says {
            Self::Behind(says.since(came_at))
        } else {
            Self::Alike
        }
    }
}

/// Asks who asks (STS API, `GetCallerIdentity`), in words why that cannot be known; and compares clocks by the answer, also
/// where it is a refusal, which the wrong time may be the reason for. No clocks without an answer.
pub async fn identity(clients: &Clients) -> (Result<Identity, String>, Option<Clocks>) {
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let call = clients.sts().get_caller_identity().customize();
    let asked = call.interceptor(Ear(Arc::clone(&heard))).send().await;
    let identity = match asked {
        Ok(answer) => Ok(Identity {
            account: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
        }),
        Err(error) => Err(words(&error)),
    };
    let clocks = heard.lock().unwrap_or_else(PoisonError::into_inner).clocks;
    (identity, clocks)
}

#[derive(Debug, Default)]
struct Heard {
    asked_at: Option<Timestamp>,
    clocks: Option<Clocks>,
}

/// Hears when a call is made, and what time its answer says it is.
#[derive(Debug)]
struct Ear(Arc<Mutex<Heard>>);

impl Intercept for Ear {
    fn name(&self) -> &'static str {
        "compares clocks"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.asked_at = Some(SystemClock.now());
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let says = context.response().headers().get("date");
        let says = says.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let says = says.map(|says| Timestamp::from_millis(says.secs().saturating_mul(1_000)));
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clocks = heard
            .asked_at
            .zip(says)
            .map(|(asked_at, says)| Clocks::compared(asked_at, SystemClock.now(), says));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_what_neither_seconds_nor_slow_answers_explain() {
        let ms = Timestamp::from_millis;
        for (asked, came, says, clocks) in [
            (10_000, 10_100, 10_000, Clocks::Alike),
            (10_900, 11_100, 10_000, Clocks::Alike),
            // The answer took its time.
            (10_000, 40_000, 25_000, Clocks::Alike),
            (
                20_000,
                20_100,
                10_000,
                Clocks::Ahead(Duration::from_secs(9)),
            ),
            (
                10_000,
                10_100,
                20_000,
                Clocks::Behind(Duration::from_millis(9_900)),
            ),
        ] {
            assert_eq!(Clocks::compared(ms(asked), ms(came), ms(says)), clocks);
        }
    }
}
