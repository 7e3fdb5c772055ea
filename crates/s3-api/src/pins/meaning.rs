//! What a request of a session means, before the backend performs it.
//!
//! The access check came before: what is asked here is allowed. A request of anybody else means what it says.

use s3s::S3Result;
use two_buckets_depot::{Depot, Error, FoundObject, Selector};
use two_buckets_objects::{ObjectRef, VersionRef};

use super::Own;
use super::invocation::is_of;
use crate::access::Access;
use crate::error::of_depot;

/// The version that a read is of, wherever it was looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) at: ObjectRef,
    pub(crate) version: Selector,
    /// Whether the version found has the name that the answer may give it.
    pub(crate) shows_version: bool,
}

impl Reading {
    /// Says which version is meant by a key and perhaps a version id; `NoSuchKey` or `NoSuchVersion` of one that the
    /// session has deleted.
    pub(crate) fn of(access: &Access, at: ObjectRef, version: Selector) -> S3Result<Self> {
        let as_asked = Self {
            at,
            version,
            shows_version: true,
        };
        let Some(invocation) = access.invocation() else {
            return Ok(as_asked);
        };
        let Self { at, version, .. } = &as_asked;
        let staged = match version {
            Selector::Current => invocation.of_staged(at),
            Selector::Version(id) => {
                invocation.find(|pin| is_of(&pin.staged, at) && pin.staged.version_id == *id)
            }
        };
        if let Some(own) = staged {
            if own.was_deleted() {
                return Err(of_depot(&match version {
                    Selector::Current => Error::NoSuchKey {
                        delete_marker: None,
                    },
                    Selector::Version(_) => Error::NoSuchVersion,
                }));
            }
            return Ok(Self::exactly(&own.pin().staged, true));
        }
        let archived = invocation.find(|pin| pin.archive == *at);
        if let Some(own) = archived
            && *version == Selector::Current
            && own.was_copied()
        {
            return Ok(Self::exactly(&own.pin().staged, false));
        }
        Ok(as_asked)
    }

    fn exactly(at: &VersionRef, shows_version: bool) -> Self {
        Self {
            at: at.object(),
            version: Selector::Version(at.version_id.clone()),
            shows_version,
        }
    }

    /// Finds it in the store.
    pub(crate) fn find(&self, depot: &Depot) -> two_buckets_depot::Result<FoundObject> {
        depot.head(&self.at, &self.version)
    }
}

impl Own {
    /// The pin whose archive key is written, if the session has one: then nothing is to be written, but noted.
    pub(crate) fn written(access: &Access, to: &ObjectRef) -> Option<Self> {
        access.invocation()?.find(|pin| pin.archive == *to)
    }

    /// The pin whose version is deleted, if the session has one: then nothing is to be deleted, but noted.
    pub(crate) fn deleted(access: &Access, at: &ObjectRef, version: &Selector) -> Option<Self> {
        access.invocation()?.find(|pin| {
            is_of(&pin.staged, at)
                && match version {
                    Selector::Current => true,
                    Selector::Version(id) => pin.staged.version_id == *id,
                }
        })
    }

    /// The pinned version, as the store has it.
    pub(crate) fn find(&self, depot: &Depot) -> two_buckets_depot::Result<FoundObject> {
        Reading::exactly(&self.pin().staged, true).find(depot)
    }
}
