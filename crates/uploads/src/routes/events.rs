use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::future::{ready, select};
use futures::{StreamExt, stream};

use super::{Answer, From};
use crate::service::Api;
use crate::wire::UploadJson;
use crate::{Caller, Change, Grants, Tracker};

/// How often a quiet stream says that it is there: below the half minute after which proxies commonly cut.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream lasts. Whoever listens asks again then, and is let in, or not, as of then: a token that was taken
/// back or has run out shows nothing for longer than this.
const STREAM_LIFE: Duration = Duration::from_mins(5);

/// Tells what changes, as server-sent events (HTML Standard, section 9.2), until the listener goes, the server stops, or
/// [`STREAM_LIFE`] is over.
/// Nothing is kept here for a slow listener: what the tracker holds for it is bounded, and it learns what it missed.
pub(crate) async fn listen<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    let changes = api.tracker.changes();
    let events = changes
        .filter_map(move |change| ready(event(change, &caller)))
        .take_until(select(
            (api.until_stop.0)(),
            Box::pin(tokio::time::sleep(STREAM_LIFE)),
        ));
    // Said at once, so that the listener knows that nothing from now on is lost, and lists what was before.
    let listening = stream::once(ready(Event::default().comment("listening")));
    let events = listening.chain(events).map(Ok::<_, Infallible>);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(events).keep_alive(heartbeat).into_response())
}

/// The change as this caller may see it.
fn event(change: Change, caller: &Caller) -> Option<Event> {
    match change {
        Change::Missed => Some(Event::default().event("missed").data("{}")),
        Change::Upload(upload) if !caller.sees(&upload.key) => None,
        Change::Upload(upload) => {
            let upload = Event::default()
                .event("upload")
                .json_data(UploadJson::from(*upload));
            Some(upload.expect("text and numbers always serialise"))
        }
    }
}
