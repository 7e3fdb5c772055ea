//! The embedded store: buckets, versions, multipart uploads and ledger rows in one folder, kept by one writer.
//!
//! It has the data model of Amazon S3 and none of its protocol. It is synchronous, knows no HTTP and no pipeline.
//!
//! # Promises
//!
//! * **Acknowledged means kept.** A call that changes something returns `Ok` after the change, and every body it
//!   refers to, is on the disk (fsync); a failed call changed nothing that can be seen.
//! * **One order.** Changes have a sequence number; after a crash the store holds those up to some number that is
//!   not below the last acknowledged one, and nothing else.
//! * **A version never changes**, and its place among the versions of its key follows the moment its upload was
//!   *initiated*, as on S3, so a multipart upload that ends late is born non-current.
//! * **A failed sync ends writing.** Later writes answer [`Error::ReadOnly`] until the store is opened again.
//!
//! The files and every byte in them are described in `docs/format.md`.

mod begun;
mod bodies;
mod buckets;
mod changes;
mod encoding;
mod engine;
mod error;
mod ids;
mod just_moved;
mod listing;
mod multipart;
mod objects;
mod open;
mod records;
mod row_keys;
mod rows;
mod view;

pub use begun::Begun;
pub use bodies::{Body, BodyHashes, BodyStorer, BodyWriter, Reader};
pub use buckets::{BucketInfo, ConfigKind, Versioning};
pub use changes::{Cause, ChangeKind, ObjectChange, RecordChange};
pub use engine::{Facts, storage};
pub use error::{Error, OpenError, Result};
pub use listing::{ListObjects, ListedObject, ObjectPage};
pub use multipart::{
    COMPLETED_KEPT, CompletePart, Completed, CreateUpload, ListParts, ListUploads, PartInfo,
    PartPage, UploadId, UploadInfo, UploadPage,
};
pub use objects::{
    CopyMetadata, CopyObject, Created, Deleted, FoundObject, PartOfObject, PutObject, Selector,
};
pub use open::{Depot, Options};
pub use rows::{MoveVersion, Moved, RowTable, Transaction};
