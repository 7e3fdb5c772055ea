//! Small bodies that were written a moment ago, for those who read them next.
//!
//! A body never changes and its name is given once, so what is here needs no care: it goes when others take its room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::body::BodyId;

/// The most bytes kept, and the largest body of them.
const BYTES_MAX: usize = 8 << 20;
const BODY_BYTES_MAX: usize = 64 << 10;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 128;

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
                if let Some(bytes) = kept.by_id.remove(&oldest) {
                    kept.bytes -= bytes.len() + ENTRY_BYTES;
                }
            }
        }
    }

    pub(super) fn get(&self, id: BodyId) -> Option<Bytes> {
        self.bodies().by_id.get(&id).cloned()
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
        assert_eq!(recent.get(BodyId::new(0)), None);
        assert_eq!(recent.get(BodyId::new(count as u64 - 1)), Some(body));
        let kept = recent.bodies();
        assert_eq!(kept.by_id.len(), kept.by_age.len());
    }

    #[test]
    fn a_body_that_is_too_large_takes_nobodys_room() {
        let recent = Recent::default();
        let large = Bytes::from(vec![7; BODY_BYTES_MAX + 1]);
        recent.add([(BodyId::new(1), &large)].into_iter());
        assert_eq!(recent.get(BodyId::new(1)), None);
        assert_eq!(recent.bodies().bytes, 0);
    }
}
