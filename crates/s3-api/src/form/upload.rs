//! A form on its way in: its fields are read and believed only once the signature holds and the policy allows them;
//! then the file is passed on as it comes.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue, Method, header};
use s3s::S3ErrorCode;
use two_buckets_objects::Timestamp;

use super::fields::Fields;
use super::policy::Policy;
use super::{Form, Step};
use crate::access::{self, Access, Asked};
use crate::auth;
use crate::payload::{BoxError, RawBody, entity_too_large, receive};
use crate::pins::Pins;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::server::Peer;
use crate::sts::Sts;
use crate::target::Target;

/// How long a client may take for all that stands in front of the file. Pauses within it are bounded as in every body.
const FRONT_TIME_MAX: Duration = Duration::from_mins(1);

/// A form whose policy allows what its fields say. The file is still to come.
pub(crate) struct Allowed<'a> {
    /// The fields in front of the file.
    pub(crate) fields: Fields,
    /// What whoever signed it may do.
    pub(crate) access: Access,
    sizes: RangeInclusive<u64>,
    form: Form,
    raw: &'a mut RawBody,
}

impl<'a> Allowed<'a> {
    /// Reads up to the file and checks signature and policy. Nothing has changed if this fails.
    pub(crate) async fn read(
        raw: &'a mut RawBody,
        content_type: &str,
        sender: &Sender<'_>,
    ) -> Result<Self, Refusal> {
        let mut form = Form::new(content_type)?;
        let fields = tokio::time::timeout(FRONT_TIME_MAX, fields(&mut form, raw))
            .await
            .map_err(|_| {
                Refusal::new(
                    S3ErrorCode::RequestTimeout,
                    format!(
                        "the fields of the form did not come within {} s",
                        FRONT_TIME_MAX.as_secs()
                    ),
                )
            })??;
        let (sizes, access) = check(&fields, sender)?;
        Ok(Self {
            fields,
            access,
            sizes,
            form,
            raw,
        })
    }

    /// The file. A stream that ends well was a whole form and a file of an allowed size; an error says that nothing of
    /// it may be kept.
    pub(crate) fn into_pieces(
        self,
    ) -> (
        Fields,
        impl Stream<Item = Result<Bytes, BoxError>> + Send + 'a,
    ) {
        let Self {
            fields,
            access: _,
            sizes,
            form,
            raw,
        } = self;
        let file = File {
            form,
            raw,
            sizes,
            taken: 0,
        };
        let pieces = futures::stream::try_unfold(file, |mut file| async move {
            Ok(file.next_piece().await?.map(|piece| (piece, file)))
        });
        (fields, pieces)
    }
}

/// What is known of a form beside its fields.
pub(crate) struct Sender<'a> {
    /// The bucket it was sent to.
    pub(crate) bucket: &'a str,
    /// The headers of its request, of which conditions may ask for the browser and the page.
    pub(crate) headers: &'a HeaderMap,
    /// Where it came from.
    pub(crate) peer: Option<Peer>,
    /// Who may sign.
    pub(crate) sts: &'a Sts,
    /// What functions work on.
    pub(crate) pins: Option<&'a Pins>,
    /// The time.
    pub(crate) now: Timestamp,
}

/// What a form may upload, if its signature holds, its policy allows its fields, and whoever signed it could PUT the
/// same object himself: the sizes, and what that one may do.
pub(crate) fn check(
    fields: &Fields,
    sender: &Sender<'_>,
) -> Result<(RangeInclusive<u64>, Access), Refusal> {
    let form = auth::form(fields, sender.sts, sender.now)?;
    let policy = Policy::parse(&form.policy)?;
    let sizes = policy.check(fields, sender.bucket, sender.now)?;
    let target = Target {
        bucket: Some(sender.bucket.to_owned()),
        key: Some(fields.key()?.to_owned()),
    };
    let mut headers = fields.headers()?;
    if fields.get("tagging").is_some() {
        // That there are tags is what counts; which they are no condition asks.
        headers.insert("x-amz-tagging", HeaderValue::from_static(""));
    }
    for name in [header::USER_AGENT, header::REFERER] {
        if let Some(value) = sender.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let access = access::authorize(
        &form.who,
        &Asked {
            method: &Method::PUT,
            target: &target,
            query: &Query::default(),
            headers: &headers,
            signed: &form.signed,
            peer: sender.peer,
            now: sender.now,
        },
        sender.pins,
    )?;
    Ok((sizes, access))
}

async fn fields(form: &mut Form, raw: &mut RawBody) -> Result<Fields, Refusal> {
    loop {
        match form.step()? {
            Step::Fields(fields) => return Ok(fields),
            Step::More => match receive(raw).await? {
                Some(piece) => form.push(&piece),
                None => form.finish()?,
            },
            Step::Piece(_) | Step::Done => unreachable!("the fields come first"),
        }
    }
}

struct File<'a> {
    form: Form,
    raw: &'a mut RawBody,
    sizes: RangeInclusive<u64>,
    taken: u64,
}

impl File<'_> {
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.form.step()? {
                Step::Piece(piece) => {
                    self.taken += piece.len() as u64;
                    if self.taken > *self.sizes.end() {
                        return Err(entity_too_large(*self.sizes.end()));
                    }
                    return Ok(Some(piece));
                }
                Step::Fields(_) => unreachable!("the fields came before the file"),
                Step::More | Step::Done => {
                    let Some(piece) = receive(self.raw).await? else {
                        self.form.finish()?;
                        return self.check_least().map(|()| None);
                    };
                    self.form.push(&piece);
                }
            }
        }
    }

    fn check_least(&self) -> Result<(), Refusal> {
        if self.taken >= *self.sizes.start() {
            return Ok(());
        }
        Err(Refusal::new(
            S3ErrorCode::EntityTooSmall,
            format!(
                "the file has {} bytes, fewer than the least of {}",
                self.taken,
                self.sizes.start()
            ),
        ))
    }
}
