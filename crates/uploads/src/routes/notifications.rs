use std::sync::Arc;

use axum::extract::State;

use super::{Answer, From, answer};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::NotificationsJson;
use crate::{Error, Grants, KnownBy, Tracker};

pub(crate) async fn show<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    match caller.known_by {
        KnownBy::Machine | KnownBy::Owner => {}
        KnownBy::TokenFile | KnownBy::Issuer | KnownBy::Iam => {
            return Err(Problem::Forbidden(
                "where events are sent is shown to whoever owns the server only".into(),
            ));
        }
    }
    let targets = match &api.notifications {
        None => Vec::new(),
        Some(notifications) => notifications.targets().map_err(|reason| {
            Problem::Of(Error::Unavailable {
                reason: format!("the events that wait cannot be counted: {reason}"),
                source: None,
            })
        })?,
    };
    Ok(answer(NotificationsJson::of(targets, (api.sources.now)())))
}
