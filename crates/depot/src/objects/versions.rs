//! Finding versions: by key, by id, and what a client is told of them.

use two_buckets_objects::{
    BucketName, ETag, ObjectInfo, ObjectRef, VersionId, VersionRef, WriteCondition,
};

use super::{FoundObject, Selector};
use crate::engine::{BodyId, Table};
use crate::ids::{self, StoreId};
use crate::records::{BucketRecord, Content, Manifest, ObjectRecord, VersionRecord, VersionState};
use crate::row_keys::{self, Order};
use crate::view::View;
use crate::{Error, Result};

/// The bucket's record, or `NoSuchBucket`.
pub(crate) fn bucket<V: View + ?Sized>(view: &V, name: &BucketName) -> Result<BucketRecord> {
    match view.get(Table::BUCKETS, name.as_str().as_bytes())? {
        Some(row) => BucketRecord::decode(&row),
        None => Err(Error::NoSuchBucket(name.to_string())),
    }
}

/// The newest version or delete marker of a key.
pub(crate) fn newest<V: View + ?Sized>(
    view: &V,
    at: &ObjectRef,
) -> Result<Option<(Order, VersionRecord)>> {
    let from = row_keys::of_key(&at.bucket, at.key.as_str());
    let to = row_keys::behind_key(&at.bucket, at.key.as_str());
    let Some((row, record)) = view
        .scan(Table::VERSIONS, &from, Some(&to), 1)?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let (_, order) = row_keys::version_of(&at.bucket, &row)?;
    Ok(Some((order, VersionRecord::decode(&record)?)))
}

/// The version at exactly this place.
pub(crate) fn at_order<V: View + ?Sized>(
    view: &V,
    at: &ObjectRef,
    order: Order,
) -> Result<Option<VersionRecord>> {
    view.get(
        Table::VERSIONS,
        &row_keys::of_version(&at.bucket, &at.key, order),
    )?
    .map(|row| VersionRecord::decode(&row))
    .transpose()
}

/// The order of the key's version `null`, if it has one.
pub(crate) fn null_order<V: View + ?Sized>(view: &V, at: &ObjectRef) -> Result<Option<Order>> {
    let row = view.get(Table::NULLS, &row_keys::of_key(&at.bucket, at.key.as_str()))?;
    match row {
        None => Ok(None),
        Some(row) => {
            let order = row.try_into().map_err(|_| Error::Corrupt {
                what: "a null version row".into(),
            })?;
            Ok(Some(Order(u64::from_le_bytes(order))))
        }
    }
}

/// The version with this id. An id this store never gave is that of no version.
pub(crate) fn by_id<V: View + ?Sized>(
    view: &V,
    store: &StoreId,
    at: &ObjectRef,
    id: &VersionId,
) -> Result<Option<(Order, VersionRecord)>> {
    let order = if id.is_null() {
        null_order(view, at)?
    } else {
        ids::version_order(store, id.as_str())
    };
    let Some(order) = order else { return Ok(None) };
    // A version `null` is reached by that name only, and not by the id its order would have.
    Ok(at_order(view, at, order)?
        .filter(|record| record.is_null == id.is_null())
        .map(|record| (order, record)))
}

/// The id clients know a version by.
pub(crate) fn id_of(store: &StoreId, order: Order, record: &VersionRecord) -> VersionId {
    if record.is_null {
        VersionId::new(VersionId::NULL)
    } else {
        ids::version_id(store, order)
    }
}

/// The version selected, which has a body; else the error S3 has for it.
pub(crate) fn select<V: View + ?Sized>(
    view: &V,
    store: &StoreId,
    at: &ObjectRef,
    version: &Selector,
) -> Result<(Order, VersionRecord)> {
    bucket(view, &at.bucket)?;
    match version {
        Selector::Current => current(store, newest(view, at)?),
        Selector::Version(id) => exact(by_id(view, store, at, id)?),
    }
}

/// The newest version of a key as the current one: none and a delete marker are `NoSuchKey`.
pub(crate) fn current(
    store: &StoreId,
    newest: Option<(Order, VersionRecord)>,
) -> Result<(Order, VersionRecord)> {
    match newest {
        None => Err(Error::NoSuchKey {
            delete_marker: None,
        }),
        Some((order, record)) if record.object().is_none() => Err(Error::NoSuchKey {
            delete_marker: Some(id_of(store, order, &record)),
        }),
        Some(found) => Ok(found),
    }
}

/// A version asked for by its id: none is `NoSuchVersion`, a delete marker has no body.
pub(crate) fn exact(found: Option<(Order, VersionRecord)>) -> Result<(Order, VersionRecord)> {
    match found {
        None => Err(Error::NoSuchVersion),
        Some((_, record)) if record.object().is_none() => Err(Error::IsDeleteMarker {
            last_modified: record.last_modified,
        }),
        Some(found) => Ok(found),
    }
}

/// Whether a write to this key may go on, as of its current version
/// (S3 User Guide, "How to prevent object overwrites with conditional writes").
///
/// `If-Match` where there is nothing to match is `NoSuchKey`, as S3 answers 404 there.
pub(crate) fn check<V: View + ?Sized>(
    view: &V,
    store: &StoreId,
    at: &ObjectRef,
    condition: &WriteCondition,
) -> Result<()> {
    if *condition == WriteCondition::None {
        return Ok(());
    }
    let newest = newest(view, at)?;
    let object = newest.as_ref().and_then(|(_, record)| record.object());
    match (condition, object) {
        (WriteCondition::None, _) | (WriteCondition::IfNoneMatch, None) => Ok(()),
        (WriteCondition::IfNoneMatch, Some(_)) => Err(Error::ConditionFailed),
        (WriteCondition::IfMatch(tag), Some(object)) => {
            if matches(tag, &object.etag) {
                Ok(())
            } else {
                Err(Error::ConditionFailed)
            }
        }
        (WriteCondition::IfMatch(_), None) => Err(Error::NoSuchKey {
            delete_marker: newest
                .as_ref()
                .map(|(order, record)| id_of(store, *order, record)),
        }),
    }
}

/// Whether a tag asked for is this one; `*` is any.
pub(crate) fn matches(asked: &ETag, tag: &ETag) -> bool {
    asked.as_str() == "*" || asked == tag
}

/// The list of parts of a completed upload.
pub(crate) fn manifest<V: View + ?Sized>(view: &V, upload: Order) -> Result<Manifest> {
    match view.get(Table::MANIFESTS, &row_keys::of_order(upload))? {
        Some(row) => Manifest::decode(&row),
        None => Err(Error::Corrupt {
            what: "a version whose list of parts is not there".into(),
        }),
    }
}

/// The bodies that make up a version's bytes, in order, with their sizes.
pub(crate) fn bodies<V: View + ?Sized>(
    view: &V,
    object: &ObjectRecord,
) -> Result<Vec<(BodyId, u64)>> {
    Ok(match object.content {
        Content::Body(id) => vec![(id, object.size_bytes)],
        Content::Parts(upload) => manifest(view, upload)?
            .parts
            .into_iter()
            .map(|part| (part.body, part.shown.size_bytes))
            .collect(),
    })
}

/// What a client is told of a version that has a body.
pub(crate) fn found<V: View + ?Sized>(
    view: &V,
    store: &StoreId,
    at: &ObjectRef,
    order: Order,
    record: VersionRecord,
) -> Result<FoundObject> {
    let version_id = id_of(store, order, &record);
    let VersionState::Object(object) = record.state else {
        return Err(Error::IsDeleteMarker {
            last_modified: record.last_modified,
        });
    };
    let parts = match object.content {
        Content::Body(_) => Vec::new(),
        Content::Parts(upload) => manifest(view, upload)?
            .parts
            .into_iter()
            .map(|part| part.shown)
            .collect(),
    };
    Ok(FoundObject {
        info: ObjectInfo {
            at: VersionRef {
                bucket: at.bucket.clone(),
                key: at.key.clone(),
                version_id,
            },
            size_bytes: object.size_bytes,
            etag: object.etag,
            last_modified: record.last_modified,
            checksums: object.checksum.into_iter().chain(object.crc64).collect(),
            metadata: object.metadata,
        },
        tags: object.tags,
        parts,
    })
}
