use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;
use serde_json::Value;

use super::{Answer, From, answer, json_body};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::FaultsJson;
use crate::{Caller, Error, Faults, Grants, KnownBy, Tracker};

pub(crate) async fn show<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    match caller.known_by {
        KnownBy::Machine | KnownBy::Owner => {}
        KnownBy::TokenFile | KnownBy::Issuer | KnownBy::Iam => {
            return Err(Problem::Forbidden(
                "which faults are on is shown to whoever owns the server only".into(),
            ));
        }
    }
    Ok(shown(faults(&api)?))
}

pub(crate) async fn set<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    is_owner(&caller)?;
    let rules: Value = json_body(request).await?;
    let faults = faults(&api)?;
    faults.set(&rules).map_err(Problem::BadRequest)?;
    Ok(shown(faults))
}

pub(crate) async fn clear<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    is_owner(&caller)?;
    let faults = faults(&api)?;
    faults.clear();
    Ok(shown(faults))
}

/// Faults break what others rely on, so no caller switches them who can only be somebody else than the owner.
fn is_owner(caller: &Caller) -> Result<(), Problem> {
    if caller.known_by == KnownBy::Owner {
        Ok(())
    } else {
        Err(Problem::Forbidden(
            "faults are switched with the admin token only, which is in server.json in the data folder, and from the server's own machine".into(),
        ))
    }
}

fn faults<T, G>(api: &Api<T, G>) -> Result<&dyn Faults, Problem> {
    let what = "faults to be switched on: this server has none,".into();
    let faults = api.faults.as_deref();
    faults.ok_or(Problem::Of(Error::NotFound { what }))
}

fn shown(faults: &dyn Faults) -> axum::response::Response {
    answer(FaultsJson::from(faults.rules()))
}
