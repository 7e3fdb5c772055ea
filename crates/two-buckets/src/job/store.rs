use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities, CopyOptions, ETag, Error, ListVersions, ObjectInfo,
    ObjectRef, ObjectStore, PutOptions, Result, Timestamp, VersionId, VersionPage, VersionRef,
    Written,
};
use two_buckets_pipeline::FencingToken;
use two_buckets_pipeline::archive::results_prefix;

use super::client::{Client, SentBody, Trouble, full};

/// The largest output that is kept in memory, so that it can be sent again when the server went away meanwhile.
const REPEATED_BYTES_MAX: usize = 4 << 20;
/// How often reading goes on where it broke off without a byte having come.
const FRUITLESS_MAX: u32 = 5;

/// Both buckets as far as a job may reach them: it reads its own version and writes its own outputs.
pub(super) struct JobStore {
    client: Arc<Client>,
    token: FencingToken,
    source: ObjectInfo,
}

impl JobStore {
    pub(super) fn new(client: Client, token: FencingToken, source: ObjectInfo) -> Self {
        Self {
            client: Arc::new(client),
            token,
            source,
        }
    }

    /// The name of the output that this key is of.
    fn output_name<'a>(&self, to: &'a ObjectRef) -> Result<&'a str> {
        to.key
            .as_str()
            .strip_prefix(&results_prefix(&self.source.at))
            .ok_or_else(not_a_jobs)
    }
}

impl ObjectStore for JobStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_copy: false,
        }
    }

    async fn head(&self, _: &ObjectRef) -> Result<ObjectInfo> {
        Err(not_a_jobs())
    }

    async fn head_version(&self, at: &VersionRef) -> Result<ObjectInfo> {
        if *at == self.source.at {
            Ok(self.source.clone())
        } else {
            Err(not_a_jobs())
        }
    }

    async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        if *at != self.source.at {
            return Err(not_a_jobs());
        }
        let size_bytes = self.source.size_bytes;
        let wanted = match range {
            None => 0..size_bytes,
            Some(range) => range.within(size_bytes).map_err(|error| Error::Refused {
                reason: error.to_string(),
            })?,
        };
        let reading = Reading {
            client: Arc::clone(&self.client),
            token: self.token,
            next: wanted.start,
            end: wanted.end,
            open: None,
            fruitless: 0,
        };
        Ok(Box::pin(unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.piece().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    async fn put(&self, to: &ObjectRef, body: Body, options: PutOptions) -> Result<Written> {
        let name = self.output_name(to)?;
        let media_type = options
            .metadata
            .content_type
            .as_deref()
            .unwrap_or("binary/octet-stream");
        let (client, token) = (&self.client, self.token);
        let version_id = match beginning(body).await? {
            Beginning::Part(body) => {
                let written = client.output(token, name, media_type, streamed(body));
                written.await.map_err(failed)?
            }
            Beginning::Whole(bytes) => {
                let mut patience = client.patience();
                loop {
                    let written = client.output(token, name, media_type, full(bytes.clone()));
                    match written.await {
                        Ok(version_id) => break version_id,
                        Err(trouble) => patience.after(trouble).await.map_err(failed)?,
                    }
                }
            }
        };
        Ok(Written {
            version_id: VersionId::new(version_id),
            // Nobody asks for these of an output.
            etag: ETag::new(""),
            last_modified: Timestamp::from_millis(0),
        })
    }

    async fn copy_version(&self, _: &VersionRef, _: &ObjectRef, _: CopyOptions) -> Result<Written> {
        Err(not_a_jobs())
    }

    async fn delete_version(&self, _: &VersionRef) -> Result<()> {
        Err(not_a_jobs())
    }

    async fn list_versions(&self, _: &BucketName, _: ListVersions) -> Result<VersionPage> {
        Err(not_a_jobs())
    }
}

/// A version that is being read. Where the connection breaks off it goes on from there, with a server that was started
/// anew as well.
struct Reading {
    client: Arc<Client>,
    token: FencingToken,
    next: u64,
    end: u64,
    open: Option<Incoming>,
    fruitless: u32,
}

impl Reading {
    /// The next piece; none at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        while self.next < self.end {
            let open = match &mut self.open {
                Some(open) => open,
                closed => {
                    let range = ByteRange::FromTo {
                        first: self.next,
                        last: self.end - 1,
                    };
                    let opened = self.client.bytes(self.token, range).await;
                    closed.insert(opened.map_err(failed)?)
                }
            };
            let broken = match open.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => continue,
                    Ok(piece) => {
                        self.fruitless = 0;
                        self.next += piece.len() as u64;
                        return Ok(Some(piece));
                    }
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => error.to_string(),
                None => "the answer was too short".to_owned(),
            };
            self.open = None;
            self.fruitless += 1;
            if self.fruitless > FRUITLESS_MAX {
                return Err(Error::Unavailable {
                    reason: format!(
                        "the file cannot be read on from byte {}: {broken}",
                        self.next
                    ),
                    source: None,
                });
            }
        }
        Ok(None)
    }
}

enum Beginning {
    Whole(Bytes),
    /// All of it, as it was.
    Part(Body),
}

async fn beginning(mut body: Body) -> Result<Beginning> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > REPEATED_BYTES_MAX {
            let first = futures::stream::iter([Ok(bytes.freeze())]);
            return Ok(Beginning::Part(Box::pin(first.chain(body))));
        }
    }
    Ok(Beginning::Whole(bytes.freeze()))
}

/// An error of the body breaks the request off, so that nothing is written.
fn streamed(body: Body) -> SentBody {
    StreamBody::new(body.map(|piece| piece.map(Frame::data).map_err(Into::into))).boxed_unsync()
}

fn not_a_jobs() -> Error {
    Error::Refused {
        reason: "a job reads its own file and writes its own outputs only".to_owned(),
    }
}

fn failed(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused(reason) => Error::Refused { reason },
        Trouble::Nothing(reason) | Trouble::Gone(reason) | Trouble::Passing(reason) => {
            Error::Unavailable {
                reason,
                source: None,
            }
        }
    }
}
