//! Small bodies that were written a moment ago, for those who read them next.
//!
//! A body never changes and its name is given once, so what is here needs no care: it goes when others take its room. It
//! goes with its first reader, too, who is the function of nearly every file: so the room is for those that wait for theirs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::body::BodyId;

/// The most bytes kept, and the largest body of them.
const BYTES_MAX: usize = 16 << 20;
const BODY_BYTES_MAX: usize = 64 << 10;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 128;
/// How many names of bodies that are gone are kept, at least.
const GONE_MAX: usize = 1_024;

/// The bodies, by their names.
#[derive(Default)]
pub(super) struct Recent(Mutex<Bodies>);

#[derive(Default)]
struct Bodies {
    by_id: HashMap<BodyId, Bytes>,
    by_age: VecDeque<BodyId>,
    bytes: usize,
}

impl Recent {
    /// Keeps copies of bodies: their own bytes may be a part of something larger.
    pub(super) fn add<'a>(&self, bodies: impl Iterator<Item = (BodyId, &'a Bytes)>) {
        for (id, bytes) in bodies {
            if bytes.len() > BODY_BYTES_MAX {
                continue;
            }
            let copy = Bytes::copy_from_slice(bytes);
            let mut kept = self.bodies();
            kept.bytes += copy.len() + ENTRY_BYTES;
            kept.by_id.insert(id, copy);
            kept.by_age.push_back(id);
            while kept.bytes > BYTES_MAX {
                let Some(oldest) = kept.by_age.pop_front() else {
                    break;
                };
                kept.remove(oldest);
            }
            if kept.by_age.len() > 2 * kept.by_id.len() + GONE_MAX {
                let Bodies { by_id, by_age, .. } = &mut *kept;
                by_age.retain(|id| by_id.contains_key(id));
            }
        }
    }

    /// Takes a body out.
    pub(super) fn take(&self, id: BodyId) -> Option<Bytes> {
        self.bodies().remove(id)
    }

    #[cfg(test)]
    pub(super) fn clear(&self) {
        *self.bodies() = Bodies::default();
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        // What is lost by a panic in the middle is a body that is read from the disk.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    fn remove(&mut self, id: BodyId) -> Option<Bytes> {
        let bytes = self.by_id.remove(&id)?;
        self.bytes -= bytes.len() + ENTRY_BYTES;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_go_first() {
        let recent = Recent::default();
        let body = Bytes::from(vec![7; BODY_BYTES_MAX]);
        let count = 2 * BYTES_MAX / BODY_BYTES_MAX;
        for n in 0..count {
            recent.add([(BodyId::new(n as u64), &body)].into_iter());
            assert!(recent.bodies().bytes <= BYTES_MAX);
        }
        assert_eq!(recent.take(BodyId::new(0)), None);
        let last = BodyId::new(count as u64 - 1);
        assert_eq!(recent.take(last), Some(body));
        assert_eq!(recent.take(last), None);
    }

    #[test]
    fn names_of_those_that_were_taken_are_bounded_too() {
        let recent = Recent::default();
        let body = Bytes::from_static(b"body");
        recent.add([(BodyId::new(0), &body)].into_iter());
        for n in 1..20_000 {
            recent.add([(BodyId::new(n), &body)].into_iter());
            assert!(recent.take(BodyId::new(n)).is_some());
            assert!(recent.bodies().by_age.len() <= GONE_MAX + 5);
        }
        let kept = recent.bodies();
        assert_eq!((kept.by_id.len(), kept.bytes), (1, 4 + ENTRY_BYTES));
    }

    #[test]
    fn a_body_that_is_too_large_takes_nobodys_room() {
        let recent = Recent::default();
        let large = Bytes::from(vec![7; BODY_BYTES_MAX + 1]);
        recent.add([(BodyId::new(1), &large)].into_iter());
        assert_eq!(recent.take(BodyId::new(1)), None);
        assert_eq!(recent.bodies().bytes, 0);
    }
}
