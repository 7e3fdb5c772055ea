//! What must hold in every state, and what must hold once all is quiet.

use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{State, Upload};

use super::configuration::Configuration;
use super::world::World;

/// A promise. Each is a property of the checker, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Promise {
    /// Nothing leaves staging before a record of its verified copy.
    KeptUntilRecorded,
    /// A record names a version of the archive that has the upload's very bytes.
    RecordsAreTrue,
    /// Nothing is archived that the function has not accepted.
    AcceptedFirst,
    /// No upload is archived twice.
    ArchivedOnce,
    /// The archive's current version never goes back to an older upload.
    CurrentNeverGoesBack,
    /// Every upload ends archived or set aside with its reason, and is gone from staging or kept there accordingly.
    EveryUploadEnds,
    /// An upload is set aside for a reason of its own only: a poisoned one holds up nobody else.
    NobodyIsHeldUp,
    /// The function never runs more often than is allowed.
    AttemptsAreBounded,
    /// What is in the archive is not set aside.
    ArchivedIsNotSetAside,
    /// What has ended changes only by an operator's retry.
    EndedStaysEnded,
    /// Every row is of an upload that was sent under its key.
    NothingIsMixedUp,
    /// A job's upload is its job's alone, and newer ones wait for it.
    JobsAreAlone,
    /// What is removed as a repeat has its bytes archived, and they are current.
    DuplicatesAreArchived,
    /// What was expected and never came is given up, and nothing else is.
    ExpectedIsGivenUp,
}

impl Promise {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::KeptUntilRecorded,
        Self::RecordsAreTrue,
        Self::AcceptedFirst,
        Self::ArchivedOnce,
        Self::CurrentNeverGoesBack,
        Self::EveryUploadEnds,
        Self::NobodyIsHeldUp,
        Self::AttemptsAreBounded,
        Self::ArchivedIsNotSetAside,
        Self::EndedStaysEnded,
        Self::NothingIsMixedUp,
        Self::JobsAreAlone,
        Self::DuplicatesAreArchived,
        Self::ExpectedIsGivenUp,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeptUntilRecorded => "nothing leaves staging before its record",
            Self::RecordsAreTrue => "records are true",
            Self::AcceptedFirst => "the function accepts what is archived",
            Self::ArchivedOnce => "each upload is archived once",
            Self::CurrentNeverGoesBack => "the archive never goes back",
            Self::EveryUploadEnds => "every upload ends",
            Self::NobodyIsHeldUp => "nobody is held up",
            Self::AttemptsAreBounded => "attempts are bounded",
            Self::ArchivedIsNotSetAside => "what is archived is not set aside",
            Self::EndedStaysEnded => "what has ended stays so",
            Self::NothingIsMixedUp => "nothing is mixed up",
            Self::JobsAreAlone => "a job's upload is its own",
            Self::DuplicatesAreArchived => "a duplicate is archived",
            Self::ExpectedIsGivenUp => "only what never came is given up",
        }
    }
}

/// A promise that is broken, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// How, in words.
    pub how: String,
}

pub(super) fn broken(promise: Promise, how: impl Into<String>) -> Broken {
    Broken {
        promise,
        how: how.into(),
    }
}

/// Checks a world in which all is quiet and swept.
pub(super) fn check_end(config: &Configuration, world: &World) -> Result<(), Broken> {
    check_expected(config, world)?;
    for (n, sent) in config.sent.iter().enumerate() {
        let row = world.row_of(sent.name);
        let copies = world
            .archive
            .iter()
            // A copy that went wrong is none; one may stay where its worker died before it removed it.
            .filter(|copy| copy.mark.source_version.as_str() == sent.name && copy.content != 0)
            .count();
        let is_in_staging = world.staged(sent.name).is_some();
        let state = row.map(|row| row.state);
        if world.absent & (1 << n) != 0 {
            if state.is_some() || copies > 0 || is_in_staging {
                let how = format!("{} was never sent and is {state:?}", sent.name);
                return Err(broken(Promise::NothingIsMixedUp, how));
            }
            continue;
        }
        let is_right = match state {
            Some(State::Duplicate) => {
                copies == 0 && !is_in_staging && world.has_recorded(config, sent.content)
            }
            Some(State::Archived | State::Late) => copies == 1 && !is_in_staging,
            Some(State::Failed) => {
                // A worker that stalled past its lease may archive what others set aside, and a job what was cancelled:
                // that is looked for once it has landed.
                let is_to_be_looked_for = row
                    .and_then(Upload::last_look_at)
                    .is_some_and(|at| at > world.time());
                (copies == 0 || is_to_be_looked_for)
                    && row.is_some_and(|row| row.reason.is_some())
                    && (is_in_staging || sent.may_be_deleted)
            }
            // Deleted before anybody saw it.
            None => sent.may_be_deleted && !is_in_staging && copies == 0,
            Some(State::Pending | State::Processing) => false,
        };
        if !is_right {
            let state = state.map_or("in no row", State::name);
            let how = format!(
                "{} ends {state}, {copies} times in the archive, in staging: {is_in_staging}",
                sent.name
            );
            return Err(broken(Promise::EveryUploadEnds, how));
        }
        // Two crashes of the worker and two of a poisoned function are all the attempts it has.
        if state == Some(State::Failed)
            && !sent.is_poisoned
            && !sent.may_be_deleted
            && config.faults.wearing() < 2
            && config.faults.cancels == 0
        {
            let how = format!("{} failed for no reason of its own", sent.name);
            return Err(broken(Promise::NobodyIsHeldUp, how));
        }
        let same = |name: &str| super::store::content(config, name) == sent.content;
        let copies = world.archive.iter();
        if config.minted.one_copy
            && copies
                .filter(|copy| same(copy.mark.source_version.as_str()))
                .count()
                != 1
        {
            let how = format!("the bytes of {} are not archived once", sent.name);
            return Err(broken(Promise::DuplicatesAreArchived, how));
        }
    }
    Ok(())
}

fn check_expected(config: &Configuration, world: &World) -> Result<(), Broken> {
    let is_absent = world.absent.count_ones() as usize == config.sent.len();
    for row in &world.rows {
        let is_given_up = |row: &Upload| {
            row.state == State::Failed
                && row
                    .reason
                    .as_ref()
                    .is_some_and(|reason| reason.starts_with("it never arrived"))
        };
        if row.is_expected() != is_absent || is_given_up(row) != is_absent {
            let how = format!("what was expected ends as {row:?}");
            return Err(broken(Promise::ExpectedIsGivenUp, how));
        }
    }
    Ok(())
}

/// What has ended changes only by an operator's retry, which does not come here, and by a look for what landed late.
pub(super) fn check_change(before: &Upload, after: &Upload, now: Timestamp) -> Result<(), Broken> {
    let had_ended = match before.state {
        State::Pending | State::Processing => false,
        State::Archived | State::Late | State::Duplicate => true,
        // What was given up and comes even so is pending again.
        State::Failed => {
            let is_found = before.is_look_due(now) && after.archive.is_some();
            !before.is_expected() && !is_found
        }
    };
    if had_ended && after.state != before.state {
        let how = format!("{} was {} and is {}", before.id, before.state, after.state);
        return Err(broken(Promise::EndedStaysEnded, how));
    }
    Ok(())
}
