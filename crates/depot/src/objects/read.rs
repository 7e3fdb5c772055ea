//! Reading versions.

use std::ops::Range;

use two_buckets_objects::{ByteRange, ObjectRef};

use super::{FoundObject, Selector, versions};
use crate::engine::BodyId;
use crate::records::{ObjectRecord, VersionRecord};
use crate::row_keys::Order;
use crate::view::View;
use crate::{Depot, Error, Reader, Result};

/// How often a version is looked up again when its bytes went away between the look and the read. Each time another
/// write must have got in the way.
const LOOKS_MAX: usize = 16;

/// A version that was looked up.
#[derive(PartialEq)]
pub(crate) struct Looked {
    pub(crate) order: Order,
    pub(crate) record: VersionRecord,
    /// Whether it has no row here any more and answers for the grace only.
    is_just_moved: bool,
}

impl Depot {
    /// What is known of a version (S3 API, `HeadObject`).
    ///
    /// A version that was moved away within the grace still answers here and in [`Self::read`], as current where
    /// nothing newer is in its old place.
    pub fn head(&self, at: &ObjectRef, version: &Selector) -> Result<FoundObject> {
        self.with_version(at, version, |looked| self.found(at, looked).map(Some))
    }

    /// A version and its bytes, or a range of them (S3 API, `GetObject`). A range outside is `InvalidArgument`; resolve
    /// it by [`ByteRange::within`] first to tell the client the size.
    pub fn read(
        &self,
        at: &ObjectRef,
        version: &Selector,
        range: Option<ByteRange>,
    ) -> Result<(FoundObject, Reader)> {
        self.with_version(at, version, |looked| {
            let found = self.found(at, looked)?;
            let wanted = match range {
                None => 0..found.info.size_bytes,
                Some(range) => range
                    .within(found.info.size_bytes)
                    .map_err(|error| Error::InvalidArgument(error.to_string()))?,
            };
            let reader = match looked.record.object() {
                Some(object) => self.reader(object, &wanted)?,
                None => None,
            };
            Ok(reader.map(|reader| (found, reader)))
        })
    }

    /// Opens a range of a version's bytes; none if a body is gone.
    pub(crate) fn reader(
        &self,
        object: &ObjectRecord,
        wanted: &Range<u64>,
    ) -> Result<Option<Reader>> {
        let engine = &self.inner.engine;
        Reader::open(engine.shared(), pieces(engine, object, wanted)?)
    }

    /// Looks a version up and takes something of it. Rows and bodies are read one after the other while others write,
    /// so when something named is not there (`None` or `Corrupt`) the version is looked up again; only one that has
    /// not changed meanwhile is corrupt.
    pub(crate) fn with_version<T>(
        &self,
        at: &ObjectRef,
        version: &Selector,
        take: impl Fn(&Looked) -> Result<Option<T>>,
    ) -> Result<T> {
        let mut before = None;
        for _ in 0..LOOKS_MAX {
            let looked = self.look(at, version)?;
            let error = match take(&looked) {
                Ok(Some(taken)) => return Ok(taken),
                Ok(None) => Error::Corrupt {
                    what: format!("a version of {} whose bytes are not there", at.key),
                },
                Err(error @ Error::Corrupt { .. }) => error,
                Err(error) => return Err(error),
            };
            if looked.is_just_moved {
                // It was deleted in its new place.
                self.inner.state.just_moved.forget(at);
            } else if before.as_ref() == Some(&looked) {
                return Err(error);
            }
            before = Some(looked);
        }
        // Replaced again and again under one name; whoever asks again will find one of them.
        Err(Error::NoSuchVersion)
    }

    fn look(&self, at: &ObjectRef, version: &Selector) -> Result<Looked> {
        let (engine, state) = (&self.inner.engine, &self.inner.state);
        versions::bucket(engine, &at.bucket)?;
        // The rows first: a version is kept as just moved before its row goes.
        let there = match version {
            Selector::Current => versions::newest(engine, at)?,
            Selector::Version(id) => versions::by_id(engine, &state.store, at, id)?,
        };
        let moved = state
            .just_moved
            .find(at, self.now())
            .filter(|(order, record)| match version {
                Selector::Current => there.as_ref().is_none_or(|(newest, _)| newest < order),
                Selector::Version(id) => {
                    there.is_none() && *id == versions::id_of(&state.store, *order, record)
                }
            });
        if let Some((order, record)) = moved {
            return Ok(Looked {
                order,
                record,
                is_just_moved: true,
            });
        }
        let (order, record) = match version {
            Selector::Current => versions::current(&state.store, there)?,
            Selector::Version(_) => versions::exact(there)?,
        };
        Ok(Looked {
            order,
            record,
            is_just_moved: false,
        })
    }

    fn found(&self, at: &ObjectRef, looked: &Looked) -> Result<FoundObject> {
        let (order, record) = (looked.order, looked.record.clone());
        versions::found(
            &self.inner.engine,
            &self.inner.state.store,
            at,
            order,
            record,
        )
    }
}

/// The pieces of bodies that make up a range of a version's bytes.
pub(crate) fn pieces<V: View + ?Sized>(
    view: &V,
    object: &ObjectRecord,
    wanted: &Range<u64>,
) -> Result<Vec<(BodyId, Range<u64>)>> {
    let mut pieces = Vec::new();
    let mut start = 0_u64;
    for (id, size_bytes) in versions::bodies(view, object)? {
        let from = wanted.start.max(start);
        let to = wanted.end.min(start + size_bytes);
        if from < to {
            pieces.push((id, from - start..to - start));
        }
        start += size_bytes;
    }
    Ok(pieces)
}
