//! Sessions that are bound to certain versions: what they name means those, and their move of them is only noted.
//!
//! A function that moves its file itself names it by key: it copies what the key holds and deletes what the key holds,
//! and if a newer version came meanwhile, that is copied in the older one's place or deleted unread. A session of the
//! role [`FUNCTION_ROLE`] cannot do that. It belongs to a [`Slot`], and its requests mean what the slot holds as they
//! come in:
//!
//! * reads of a pinned staged key are reads of the pinned version, and no other key of the staged bucket can be named;
//! * a copy of the pinned version to its archive key, or any other upload of the same bytes there, makes no version. It
//!   is noted ([`Pinned::was_copied`]) and answered as S3 answers it, and from then on this session reads those bytes
//!   under the archive key. Other bytes are refused there, as is other metadata;
//! * a delete of the pinned version, by name or by its id, deletes nothing. It is noted ([`Pinned::was_deleted`]), and
//!   from then on this session does not find the version any more;
//! * everything else is as the policies of role and session say.
//!
//! What happens because of the notes is up to whoever made the pin. A pin takes away from what the policies allow and
//! adds one thing only: its [`Pin::results_prefix`] may be written though [`Config::refuse_write`] refuses it to others.
//! The policies can ask whether an object is one of the session's own by the condition key `two-buckets:Pinned`.
//!
//! A noted copy is answered without a version id: the archive's version is not made yet, and what it will be called is
//! not known. Its tag is the pinned version's, its Last-Modified too. A request that comes in while nothing is pinned is
//! refused, so a signed URL that a session made is worth something only while its version is pinned.
//!
//! [`Config::refuse_write`]: crate::Config::refuse_write

mod invocation;
mod meaning;
mod role;
mod rules;
mod uploads;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use two_buckets_objects::{ObjectRef, VersionRef};

use crate::refusal::Refusal;
pub(crate) use invocation::{Invocation, Own};
pub(crate) use meaning::Reading;
pub use role::{FUNCTION_ROLE, function_role};
pub(crate) use uploads::{Completion, OwnPart, PartBytes};

/// One version that a session works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The version that the staged key means. Its bucket must have versions: `null` can be overwritten in place.
    pub staged: VersionRef,
    /// Where its bytes are to go, in another bucket. Writing them there is noted, writing others is refused.
    pub archive: ObjectRef,
    /// Where in the archive's bucket the session may write though clients may not; it ends at a slash, which is added
    /// if it is not there. Nowhere if empty.
    pub results_prefix: String,
}

/// The slots of a service. Cheap to clone; the clones are one.
#[derive(Clone, Default, Debug)]
pub struct Pins {
    slots: Arc<Mutex<HashMap<String, Arc<Held>>>>,
}

/// A place for pins, which the sessions of one name have. Dropping it ends their access for good.
#[derive(Debug)]
pub struct Slot {
    pins: Pins,
    session_name: String,
    held: Arc<Held>,
}

/// Pins that are in force. Dropping it takes them out: what comes later is refused until something is pinned again.
/// Requests that came in before are finished, and noted here and nowhere else.
#[derive(Debug)]
pub struct Pinned {
    held: Arc<Held>,
    invocation: Arc<Invocation>,
}

/// What a slot holds.
#[derive(Default, Debug)]
struct Held(Mutex<Option<Arc<Invocation>>>);

impl Pins {
    /// No slots yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the slot of the sessions with this name. One that is open under the name loses its sessions to the new one.
    pub fn open_slot(&self, session_name: &str) -> Slot {
        let held = Arc::new(Held::default());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.insert(session_name.to_owned(), Arc::clone(&held));
        Slot {
            pins: self.clone(),
            session_name: session_name.to_owned(),
            held,
        }
    }

    /// What the sessions of this name work on now. Asked once for each request, so that all of it is of one invocation.
    pub(crate) fn invocation(&self, session_name: &str) -> Result<Arc<Invocation>, Refusal> {
        let held = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(session_name).cloned()
        };
        let held = held.ok_or_else(|| {
            Refusal::access_denied(format!(
                "the session {session_name} belongs to no execution environment, or to one that has ended"
            ))
        })?;
        held.get().ok_or_else(|| {
            Refusal::access_denied(format!(
                "the session {session_name} works on no file now: its invocation is over"
            ))
        })
    }
}

impl Slot {
    /// Binds the sessions of the slot to these versions, whose staged keys and archive keys must all differ: of two with
    /// the same key the first counts. One at a time: pins that are in force are replaced.
    pub fn pin(&self, pins: Vec<Pin>) -> Pinned {
        let invocation = Arc::new(Invocation::new(pins));
        self.held.set(Some(Arc::clone(&invocation)));
        Pinned {
            held: Arc::clone(&self.held),
            invocation,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let pins = self.pins.clone();
        let mut slots = pins.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may have the name by now.
        if slots
            .get(&self.session_name)
            .is_some_and(|held| Arc::ptr_eq(held, &self.held))
        {
            slots.remove(&self.session_name);
        }
    }
}

impl Pinned {
    /// Whether the pinned version of this staged key was written to its archive key, so that nothing is missing there.
    pub fn was_copied(&self, staged: &ObjectRef) -> bool {
        self.invocation
            .of_staged(staged)
            .is_some_and(|own| own.was_copied())
    }

    /// Whether the pinned version of this staged key was deleted, as far as the session knows.
    pub fn was_deleted(&self, staged: &ObjectRef) -> bool {
        self.invocation
            .of_staged(staged)
            .is_some_and(|own| own.was_deleted())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.held.clear(&self.invocation);
    }
}

impl Held {
    fn get(&self) -> Option<Arc<Invocation>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, invocation: Option<Arc<Invocation>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = invocation;
    }

    /// Takes this one out, and no other that has replaced it.
    fn clear(&self, ended: &Arc<Invocation>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|now| Arc::ptr_eq(now, ended)) {
            *held = None;
        }
    }
}
