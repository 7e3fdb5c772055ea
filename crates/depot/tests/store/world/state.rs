//! All that can be seen of the store against a model.

use bytes::Bytes;
use two_buckets_depot::{ListParts, Selector};
use two_buckets_objects::{Key, VersionId};

use super::{TABLE, World};
use crate::harness::object;
use crate::model::{Model, ModelObject, size_of};

impl World {
    /// Compares all that can be seen of the store with a model. Tells the first difference.
    pub(crate) fn compare(&self, model: &Model) -> Result<(), String> {
        let depot = self.depot();
        let names: Vec<_> = depot
            .buckets()
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|bucket| (bucket.name.to_string(), bucket.versioning))
            .collect();
        let expected: Vec<_> = model
            .buckets
            .iter()
            .map(|(name, bucket)| (name.clone(), bucket.versioning))
            .collect();
        same("buckets", &names, &expected)?;
        for (name, bucket) in &model.buckets {
            let mut listed = crate::harness::versions(depot, &super::bucket(name)).into_iter();
            for (key, versions) in &bucket.keys {
                for (index, version) in versions.iter().enumerate() {
                    let listed = listed.next().ok_or(format!("{key:?} is missing"))?;
                    same("key", &listed.key, key)?;
                    same("latest", &listed.is_latest, &(index == 0))?;
                    same("null", &listed.version_id.is_null(), &version.is_null)?;
                    if let Some(id) = &version.id {
                        same("id", &listed.version_id, id)?;
                    }
                    same(
                        "marker",
                        &listed.is_delete_marker,
                        &version.object.is_none(),
                    )?;
                    if let Some(object) = &version.object {
                        self.compare_object(name, key, &listed.version_id, object)?;
                    }
                }
            }
            if let Some(more) = listed.next() {
                return Err(format!("{more:?} should not be there"));
            }
        }
        for (upload, id) in model.uploads.iter().zip(&self.uploads) {
            let at = object(&upload.bucket, upload.key.as_str());
            let listed = depot.list_parts(&at, id, &ListParts::default());
            if upload.is_open {
                let listed = listed.map_err(|error| error.to_string())?;
                let parts: Vec<_> = listed
                    .parts
                    .iter()
                    .map(|part| (part.number, part.size_bytes))
                    .collect();
                let expected: Vec<_> = upload
                    .parts
                    .iter()
                    .map(|(number, runs)| (*number, size_of(runs)))
                    .collect();
                same("parts", &parts, &expected)?;
            } else if listed.is_ok() {
                return Err(format!("upload {id:?} should be gone"));
            }
        }
        let whole = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let rows = depot
            .rows(TABLE, whole, false, usize::MAX)
            .map_err(|error| error.to_string())?;
        let expected: Vec<_> = model.rows.clone().into_iter().collect();
        same("rows", &rows, &expected)
    }

    fn compare_object(
        &self,
        name: &str,
        key: &Key,
        id: &VersionId,
        object: &ModelObject,
    ) -> Result<(), String> {
        let at = crate::harness::object(name, key.as_str());
        let version = Selector::Version(id.clone());
        let (found, mut reader) = self
            .depot()
            .read(&at, &version, None)
            .map_err(|error| format!("{at:?} {id}: {error}"))?;
        same("tag", &found.info.etag, &object.etag)?;
        same("user metadata", &found.info.metadata.user, &object.user)?;
        same("tags", &found.tags.0, &object.tags)?;
        let parts: Vec<_> = found
            .parts
            .iter()
            .map(|part| (part.number, part.size_bytes))
            .collect();
        same("parts of the object", &parts, &object.parts)?;
        let mut left = object.runs.clone();
        left.reverse();
        while let Some((fill, mut length)) = left.pop() {
            while length > 0 {
                let most = usize::try_from(length.min(1 << 20)).unwrap();
                let piece = reader
                    .next_piece(most)
                    .map_err(|error| format!("{at:?}: {error}"))?;
                if piece.is_empty() || piece.iter().any(|byte| *byte != fill) {
                    return Err(format!("{at:?} has other bytes"));
                }
                length -= piece.len() as u64;
            }
        }
        let rest = reader.next_piece(1).map_err(|error| error.to_string())?;
        same("bytes behind the end", &rest, &Bytes::new())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?} and not {expected:?}"))
    }
}
