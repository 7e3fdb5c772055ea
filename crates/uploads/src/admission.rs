//! What every grant begins with: whether the caller may send this file under this key, and the key's row.

use two_buckets_objects::Timestamp;

use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::problem::Problem;
use crate::service::Api;
use crate::{Caller, Expected, Grants, Tracker, UploadId, UploadKey};

/// Where a file is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// To exactly this key.
    Key(&'a str),
    /// To a key that is made for it alone.
    MintedFor(&'a str),
}

impl<'a> Place<'a> {
    /// Exactly one of the two must have been sent.
    pub(crate) fn one_of(key: Option<&'a str>, filename: Option<&'a str>) -> Result<Self, Problem> {
        match (key, filename) {
            (Some(key), None) => Ok(Self::Key(key)),
            (None, Some(filename)) => Ok(Self::MintedFor(filename)),
            _ => Err(Problem::BadRequest(
                "say where the file goes, by one of \"filename\" (a unique key is made for it) or \"key\" (exactly that key)".into(),
            )),
        }
    }
}

/// A key that the caller may send a file to.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) key: UploadKey,
    /// The upload that is expected there, if the key was minted.
    pub(crate) id: Option<UploadId>,
}

impl Admitted {
    /// A minted key is written once: a second write of it would be another file's.
    pub(crate) fn must_be_new(&self) -> bool {
        self.id.is_some()
    }

    pub(crate) fn shown_id(&self) -> Option<String> {
        self.id.as_ref().map(ToString::to_string)
    }
}

/// Lets an upload begin: counts it, mints its key if it shall have one, and makes or renews the row of a minted key,
/// which holds whoever asks again to the file that was declared first.
/// The caller's limits of size and type were checked before.
pub(crate) async fn admit<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    place: Place<'_>,
    facts: &FileFacts,
    coming: Coming,
) -> Result<Admitted, Problem> {
    let now = (api.sources.now)();
    let key = match place {
        Place::Key(text) => {
            let known = look_up(api, caller, text).await?;
            // A grant that is renewed begins nothing anew; an upload in parts may. What comes under a key whose file has
            // come is another upload, or a repeat that costs as much.
            if known.admitted.id.is_none() || known.has_arrived || coming == Coming::InParts {
                count(api, caller, now)?;
            }
            if known.admitted.id.is_some() {
                expect(api, known.admitted.key.clone(), facts, coming.until(now)).await?;
            }
            return Ok(known.admitted);
        }
        Place::MintedFor(filename) => {
            let random = (api.sources.random)();
            api.key_template
                .mint_below(caller.prefix.as_ref(), filename, now, random)
                .map_err(|error| Problem::BadRequest(error.to_string()))?
        }
    };
    count(api, caller, now)?;
    let id = expect(api, key.clone(), facts, coming.until(now)).await?;
    Ok(Admitted { key, id: Some(id) })
}

/// A key that somebody named.
pub(crate) struct Known {
    pub(crate) admitted: Admitted,
    /// Whether it was minted and its file has come.
    pub(crate) has_arrived: bool,
}

/// Reads a key that the caller may name, and whether it was minted.
pub(crate) async fn look_up<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    key: &str,
) -> Result<Known, Problem> {
    let key = named_key(caller, key)?;
    let minted = api.tracker.minted(&key).await?;
    Ok(Known {
        has_arrived: minted.as_ref().is_some_and(|minted| minted.has_arrived),
        admitted: Admitted {
            key,
            id: minted.map(|minted| minted.id),
        },
    })
}

/// Reads a key that the caller may name.
pub(crate) fn named_key(caller: &Caller, text: &str) -> Result<UploadKey, Problem> {
    let key: UploadKey = text
        .parse()
        .map_err(|error: crate::InvalidUploadKey| Problem::BadRequest(error.to_string()))?;
    match &caller.prefix {
        Some(prefix) if !prefix.covers(key.as_str()) => Err(Problem::Forbidden(format!(
            "your keys begin with \"{prefix}\", and this one does not"
        ))),
        _ => Ok(key),
    }
}

/// Counts one more upload that the caller begins.
pub(crate) fn count<T, G>(api: &Api<T, G>, caller: &Caller, now: Timestamp) -> Result<(), Problem> {
    let Some(per_minute) = caller.limits.uploads_per_minute else {
        return Ok(());
    };
    let counted = api.rates.count(&caller.counted_as(), per_minute, now);
    counted.map_err(|wait| Problem::TooManyUploads { per_minute, wait })
}

async fn expect<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    key: UploadKey,
    facts: &FileFacts,
    until: Timestamp,
) -> Result<UploadId, Problem> {
    let expected = Expected {
        key,
        until,
        size_bytes: facts.size_bytes,
        media_type: facts
            .content_type
            .as_ref()
            .map(|content_type| content_type.as_str().to_owned()),
        checksum: facts.checksum(),
    };
    Ok(api.tracker.expect(expected).await?)
}
