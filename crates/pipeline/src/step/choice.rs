use two_buckets_objects::Timestamp;

use crate::archive::is_reserved;
use crate::{State, Upload};

/// What is to be done first about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice<'a> {
    /// Nothing now.
    Nothing,
    /// This upload has ended and its version is still in staging: delete it, then close the row.
    Leftover(&'a Upload),
    /// This upload can never be tried: set it aside for this reason.
    Refuse(&'a Upload, &'static str),
    /// Try this one.
    Try(&'a Upload),
    /// A job has this one or will have it: nothing behind it may be tried.
    Wait(&'a Upload),
    /// This one was set aside while a copy of it may have been on its way: look whether it has landed.
    Look(&'a Upload),
}

/// What is chosen besides uploads that are due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offers {
    /// Those that have ended and are still in staging; not where deleting one was refused before, so that it holds up
    /// nobody.
    pub leftovers: bool,
    /// Those that were set aside in doubt, see [`Upload::last_look_at`]; not where a copy cannot land behind its worker's
    /// back, because ledger and buckets are one store.
    pub looks: bool,
}

/// Chooses among the rows of a key's versions, oldest first: the first that is due. Failed ones and those that wait
/// are passed over; where nothing else is due, those that were set aside in doubt are looked for. Says also whether
/// anything behind the chosen one is due.
pub fn choose(uploads: &[Upload], now: Timestamp, offers: Offers) -> (Choice<'_>, bool) {
    let due = uploads.iter().filter_map(|upload| {
        if matches!(
            upload.state,
            State::Archived | State::Late | State::Duplicate
        ) {
            offers.leftovers.then_some(Choice::Leftover(upload))
        } else if upload.is_due(now) && upload.is_job {
            Some(Choice::Wait(upload))
        } else if upload.is_due(now) {
            Some(refusal(upload).map_or(Choice::Try(upload), |why| Choice::Refuse(upload, why)))
        } else {
            None
        }
    });
    let looks = uploads
        .iter()
        .filter(|upload| offers.looks && upload.is_look_due(now))
        .map(Choice::Look);
    let mut all = due.chain(looks);
    match all.next() {
        Some(choice) => (choice, all.next().is_some()),
        None => (Choice::Nothing, false),
    }
}

fn refusal(upload: &Upload) -> Option<&'static str> {
    let staged = upload.staged.as_ref()?;
    if staged.version_id.is_null() {
        Some(
            "its version id is null, so it may be overwritten in place: \
             versioning was not enabled when it was uploaded; upload it again",
        )
    } else if is_reserved(&upload.key.key) {
        Some("its key begins with _results/ or _late/, which are kept for the pipeline itself")
    } else {
        None
    }
}
