//! Bodies that are being read and so must stay readable though they be freed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::body::{BodyId, Place};
use super::{Shared, blob};
use crate::Result;

/// Which bodies are being read, by how many readers.
#[derive(Default)]
pub(super) struct Pins {
    pins: Mutex<HashMap<BodyId, Pin>>,
}

#[derive(Default)]
struct Pin {
    readers: usize,
    /// The segment the body is in, once the reader that pinned it has looked.
    place: Option<Place>,
    /// The body was freed meanwhile; the last reader removes its file.
    is_freed: bool,
}

impl Pins {
    /// Keeps a body from now on. To be called before its row is looked up: then either the row is gone, or whoever
    /// frees the body sees the pin.
    pub(super) fn add(&self, id: BodyId) {
        self.pins().entry(id).or_default().readers += 1;
    }

    /// Tells where a pinned body is.
    pub(super) fn found(&self, id: BodyId, place: Place) {
        if let Some(pin) = self.pins().get_mut(&id) {
            pin.place = Some(place);
        }
    }

    /// Ends one reader's pin. Whether the body's file is to be removed now.
    #[must_use]
    pub(super) fn remove(&self, id: BodyId) -> bool {
        let mut pins = self.pins();
        let Some(pin) = pins.get_mut(&id) else {
            return false;
        };
        pin.readers -= 1;
        if pin.readers > 0 {
            return false;
        }
        pins.remove(&id).is_some_and(|pin| pin.is_freed)
    }

    /// Notes that a body with a file is freed, which the index must show already.
    /// Whether its file can be removed now; else the last reader does.
    #[must_use]
    pub(super) fn free(&self, id: BodyId) -> bool {
        match self.pins().get_mut(&id) {
            Some(pin) => {
                pin.is_freed = true;
                false
            }
            None => true,
        }
    }

    /// Whether a reader may need this segment.
    pub(super) fn hold_segment(&self, segment: u64) -> bool {
        self.pins().values().any(|pin| match pin.place {
            Some(Place::Log { segment: at, .. }) => at == segment,
            Some(Place::Blob { .. }) => false,
            None => true,
        })
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<BodyId, Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bodies that stay readable until this is dropped.
pub(crate) struct Pinned {
    shared: Arc<Shared>,
    bodies: Vec<BodyId>,
}

impl Pinned {
    /// Pins bodies and says where they are. None if one of them is gone.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        bodies: impl Iterator<Item = BodyId>,
    ) -> Result<Option<(Self, Vec<Place>)>> {
        let mut pinned = Self {
            shared: Arc::clone(shared),
            bodies: Vec::new(),
        };
        let mut places = Vec::new();
        for id in bodies {
            shared.pins.add(id);
            pinned.bodies.push(id);
            let Some(place) = shared.place(id)? else {
                return Ok(None);
            };
            shared.pins.found(id, place);
            places.push(place);
        }
        Ok(Some((pinned, places)))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for id in &self.bodies {
            if self.shared.pins.remove(*id) {
                blob::remove(&self.shared, *id);
            }
        }
    }
}
