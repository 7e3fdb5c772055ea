//! What the store keeps in memory beside the engine.

use std::sync::Arc;

use two_buckets_objects::Algorithm;

use crate::engine::{Engine, Table};
use crate::ids::StoreId;
use crate::just_moved::JustMoved;
use crate::{Error, OpenError, Options};

/// The row of the store's own id in [`Table::STORE`].
const ID_ROW: &[u8] = b"id";

/// The store's id and the versions just moved.
pub(crate) struct State {
    pub(crate) store: StoreId,
    pub(crate) just_moved: Arc<JustMoved>,
}

impl State {
    /// Reads the store's id, or gives it one.
    pub(crate) fn open(engine: &Engine, options: &Options) -> Result<Self, OpenError> {
        let store = match engine.get(Table::STORE, ID_ROW).map_err(open_error)? {
            Some(row) => row
                .try_into()
                .map_err(|_| OpenError::Corrupt("the store's id".into()))?,
            None => engine
                .transaction(|tx| {
                    // From the clock, so that a test run can be repeated. Nothing relies on it being secret: it keeps
                    // the ids of one store from leading anywhere in another.
                    let id = id_of(tx.now().millis());
                    tx.put(Table::STORE, ID_ROW, id.to_vec());
                    Ok::<_, Error>(id)
                })
                .map_err(open_error)?,
        };
        Ok(Self {
            store,
            just_moved: Arc::new(JustMoved::new(options.just_moved_grace)),
        })
    }
}

fn id_of(made_at_millis: i64) -> StoreId {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(b"two-buckets store made at");
    hasher.update(&made_at_millis.to_le_bytes());
    *hasher
        .finish()
        .value
        .first_chunk()
        .expect("SHA-256 gives 32 bytes")
}

fn open_error(error: Error) -> OpenError {
    match error {
        Error::Io(source) => OpenError::Io(source),
        Error::DiskFull => OpenError::Io(std::io::ErrorKind::StorageFull.into()),
        other => OpenError::Corrupt(other.to_string()),
    }
}
