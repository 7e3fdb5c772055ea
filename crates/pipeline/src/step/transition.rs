use two_buckets_objects::{ListedVersion, VersionId, VersionRef, WriteCondition};

use super::machine::{AfterSearch, Item, Origin, Phase, Work};
use super::{Choice, CopyFailure, Input, Offers, Rules, Stopped, Turn, choose};
use crate::archive::{Mark, Placement, Replay, place};
use crate::ledger::{MovedInOne, NOTE_MAX, Started};
use crate::{AttemptOutcome, Begin, ProcessError, Route, State, Upload, Why};

impl Work {
    pub(super) fn next(&mut self, rules: &Rules, phase: Phase, input: Input) -> Phase {
        match (phase, input) {
            (_, Input::FencedOff) => Phase::Stopped(Stopped::FencedOff),
            (_, Input::LedgerFailed(reason)) => Phase::Stopped(Stopped::LedgerFailed { reason }),
            (phase, Input::StoreFailed(reason)) => self.trouble(rules, phase, reason),
            (phase, Input::Drain) => drain(phase),
            (Phase::Pausing { then }, Input::Done) => *then,

            (
                Phase::ListingFirst,
                Input::Listed {
                    versions,
                    is_complete,
                },
            ) => {
                if versions.is_empty() {
                    Phase::Stopped(Stopped::Idle)
                } else if is_complete && versions.len() <= NOTE_MAX {
                    Phase::Starting { versions }
                } else {
                    Phase::Claiming
                }
            }
            (Phase::Starting { .. }, Input::Started(started)) => match started {
                Started::Busy => Phase::Stopped(Stopped::Busy),
                Started::Nothing => Phase::Stopped(Stopped::Idle),
                Started::Claimed(_) => Phase::Listing,
                Started::Begun {
                    upload,
                    source,
                    has_more,
                    ..
                } => {
                    let mut item = Item::new(*upload, Some(*source), has_more);
                    item.has_begun = true;
                    Phase::Processing {
                        item: Box::new(item),
                    }
                }
            },
            (Phase::Claiming, Input::Claimed) => Phase::Listing,
            (Phase::Releasing { stalled: None }, Input::LookAgain) if self.job.is_none() => {
                Phase::Listing
            }
            (Phase::Claiming, Input::Busy) => Phase::Stopped(Stopped::Busy),
            (
                Phase::Listing,
                Input::Listed {
                    versions,
                    is_complete,
                },
            ) => {
                // A list that was cut says nothing about what it left out.
                if self.why == Why::Gone && is_complete {
                    self.why = Why::Event;
                    Phase::FindingUnfinished { versions }
                } else {
                    self.note(versions)
                }
            }
            (Phase::FindingUnfinished { versions }, Input::Unfinished(rows)) => {
                self.gone = rows
                    .into_iter()
                    .filter(|row| {
                        row.staged.as_ref().is_some_and(|staged| {
                            versions
                                .iter()
                                .all(|version| version.version_id != staged.version_id)
                        })
                    })
                    .collect();
                if self.gone.is_empty() {
                    self.note(versions)
                } else {
                    self.after_upload(true)
                }
            }
            (Phase::Noting { rest, .. }, Input::Noted { noted, now }) => {
                // What has ended and cannot be deleted must not stand in a job's way.
                let offers = Offers {
                    leftovers: self.undeletable.is_none() && self.job.is_none(),
                    looks: !rules.ledger.moves_in_one && !self.looks_no_more && self.job.is_none(),
                };
                let (choice, has_more) = choose(&noted.uploads, now, offers);
                let has_more = has_more || !rest.is_empty();
                match choice {
                    Choice::Nothing => self.note(rest),
                    Choice::Wait(upload) if self.job.as_ref() == Some(&upload.id) => {
                        Phase::HeadingSource {
                            upload: Box::new(upload.clone()),
                            has_more,
                            archived_mint: noted.archived_mint,
                        }
                    }
                    Choice::Wait(_) => self.note(Vec::new()),
                    // Others are first, and not a job's to do: whoever is woken with the key does them.
                    _ if self.job.is_some() => self.note(Vec::new()),
                    Choice::Leftover(upload) => Phase::Deleting {
                        upload: Box::new(upload.clone()),
                        has_more,
                    },
                    Choice::Refuse(upload, reason) => Phase::Ending {
                        item: Box::new(Item::new(upload.clone(), None, has_more)),
                        turn: Turn::Failed {
                            reason: reason.into(),
                            outcome: AttemptOutcome::Permanent,
                        },
                    },
                    Choice::Try(upload) | Choice::Look(upload) => Phase::HeadingSource {
                        upload: Box::new(upload.clone()),
                        has_more,
                        archived_mint: noted.archived_mint,
                    },
                }
            }
            (Phase::HeadingSource { .. }, Input::Source(None)) => self.explain_gone(rules),
            (
                Phase::HeadingSource {
                    upload,
                    has_more,
                    archived_mint,
                },
                Input::Source(Some(source)),
            ) => {
                let mut item = Box::new(Item::new(*upload, Some(*source), has_more));
                item.archived_mint = archived_mint;
                if item.upload.state == State::Failed {
                    Phase::Searching {
                        item,
                        then: AfterSearch::StayFailed,
                    }
                } else if item.may_be_archived() && !rules.ledger.moves_in_one {
                    Phase::Searching {
                        item,
                        then: AfterSearch::Begin,
                    }
                } else {
                    self.try_it(rules, item)
                }
            }
            (
                Phase::Comparing {
                    item,
                    first,
                    archived,
                },
                Input::Verified(_),
            ) => Phase::Confirming {
                item,
                first,
                archived,
            },
            (
                Phase::Confirming {
                    item,
                    first,
                    archived,
                },
                Input::ArchiveHead(current),
            ) => {
                if current.is_some_and(|current| current.at == archived) {
                    Phase::Ending {
                        item,
                        turn: Turn::Duplicate {
                            of: first.id.clone(),
                        },
                    }
                } else {
                    // Other bytes came after it, or it was deleted: whoever sends it now wants it current.
                    self.routed(rules, item)
                }
            }
            // Other bytes under the key, or nothing to be a repeat of: an upload like any other.
            (Phase::Comparing { item, .. }, Input::VerifyFailed) => self.routed(rules, item),
            // Whatever is behind it waits for its job.
            (Phase::Queueing { .. }, Input::Done) => self.note(Vec::new()),
            (Phase::Searching { item, then }, Input::FoundArchived(found)) => match found {
                Some(archived) => Phase::Verifying {
                    item,
                    archived,
                    origin: Origin::Found(then),
                },
                None => self.not_found(rules, item, then),
            },
            (Phase::Beginning { mut item }, Input::Begun(begin)) => match *begin {
                Begin::Begun(upload) => {
                    item.upload = upload;
                    item.has_begun = true;
                    Phase::Processing { item }
                }
                Begin::Exhausted(upload) => {
                    item.upload = upload;
                    let reason = format!(
                        "no attempt is left of {}; the last one ended without an answer",
                        rules.attempts_max
                    );
                    Phase::Ending {
                        item,
                        turn: Turn::Failed {
                            reason,
                            outcome: AttemptOutcome::Crashed,
                        },
                    }
                }
                Begin::NotDue(_) => self.list_again(rules, "the ledger says it is not due"),
            },
            (Phase::Processing { item }, Input::Processed(result)) => {
                processed(rules, item, result)
            }
            (Phase::Moving { .. }, Input::Moved(MovedInOne::SourceGone)) => {
                self.explain_gone(rules)
            }
            (Phase::Moving { item }, Input::Moved(MovedInOne::Moved { was_released, .. })) => {
                if was_released {
                    Phase::Stopped(Stopped::Idle)
                } else {
                    self.after_upload(item.has_more)
                }
            }
            (Phase::HeadingArchive { mut item }, Input::ArchiveHead(current)) => {
                match (place(&item.mark(), current.as_deref()), current) {
                    (Placement::AlreadyCurrent, Some(current)) => {
                        item.is_unsure = true;
                        Phase::Verifying {
                            item,
                            archived: current.at,
                            origin: Origin::Found(AfterSearch::Archive),
                        }
                    }
                    (Placement::Current(condition), _) => Phase::Copying {
                        item,
                        is_late: false,
                        condition,
                    },
                    // It may be below the newer one: archived there by a turn that could not say so before that came. From
                    // here on nobody puts it under its key any more, so what is not found now never will be there.
                    (Placement::Late | Placement::AlreadyCurrent, _) => Phase::Searching {
                        item,
                        then: AfterSearch::Late,
                    },
                }
            }
            (
                Phase::Copying {
                    mut item, is_late, ..
                },
                Input::Copied(written),
            ) => {
                // Until it is recorded, whoever tries it again must look for it.
                item.is_unsure = true;
                let archived = self.archived_at(rules, &item, is_late, written.version_id);
                Phase::Verifying {
                    item,
                    archived,
                    origin: Origin::Copied,
                }
            }
            (Phase::Copying { item, .. }, Input::CopyFailed(failure)) => {
                self.copy_failed(rules, item, failure)
            }
            (Phase::Verifying { item, archived, .. }, Input::Verified(checksum)) => {
                Phase::Recording {
                    item,
                    archived,
                    checksum,
                }
            }
            (
                Phase::Verifying {
                    item,
                    archived,
                    origin,
                },
                Input::VerifyFailed,
            ) => match origin {
                // Where its source is gone it is all there is of it.
                Origin::Found(then) if item.source.is_none() => self.not_found(rules, item, then),
                // It bears this upload's mark: it would be found before the right one and stand in its way.
                Origin::Found(then) => Phase::RemovingCopy {
                    item,
                    archived,
                    then,
                },
                Origin::Copied => Phase::RemovingCopy {
                    item,
                    archived,
                    then: AfterSearch::Archive,
                },
            },
            (Phase::RemovingCopy { item, then, .. }, Input::Done) => self.trouble(
                rules,
                Phase::Searching { item, then },
                "the archived copy was not as its source and was removed".into(),
            ),
            (Phase::Recording { item, .. }, Input::Done) => {
                if item.is_gone {
                    Phase::Closing {
                        upload: Box::new(item.upload),
                        has_more: item.has_more,
                        was_gone: true,
                    }
                } else {
                    Phase::Deleting {
                        upload: Box::new(item.upload),
                        has_more: item.has_more,
                    }
                }
            }
            (Phase::Deleting { upload, has_more }, Input::Done) => Phase::Closing {
                upload,
                has_more,
                was_gone: false,
            },
            (Phase::Closing { has_more, .. }, Input::Done) => self.after_upload(has_more),
            (Phase::Ending { item, turn }, Input::Done) => match turn {
                Turn::Deferred { .. } | Turn::Failed { .. } | Turn::StaysFailed => {
                    self.after_upload(item.has_more)
                }
                // At once and in order: it is still the oldest.
                Turn::Crashed { .. } => self.after_upload(true),
                Turn::Duplicate { .. } => Phase::Deleting {
                    upload: Box::new(item.upload),
                    has_more: item.has_more,
                },
            },
            (Phase::Releasing { stalled }, Input::Released) => {
                Phase::Stopped(stalled.unwrap_or(Stopped::Idle))
            }
            // Whoever was turned away is woken again with this key.
            (Phase::Releasing { stalled }, Input::LookAgain) => Phase::Releasing { stalled },
            (phase, input) => panic!("{input:?} is no answer in {phase:?}"),
        }
    }

    /// Asks for the rows of the oldest versions, a bounded number at a time; with none left the turn is over.
    fn note(&mut self, mut versions: Vec<ListedVersion>) -> Phase {
        if versions.is_empty() {
            return Phase::Releasing {
                stalled: self
                    .undeletable
                    .take()
                    .map(|reason| Stopped::Stalled { reason }),
            };
        }
        let rest = versions.split_off(versions.len().min(NOTE_MAX));
        Phase::Noting { versions, rest }
    }

    /// An upload's turn came to its end.
    fn after_upload(&mut self, has_more: bool) -> Phase {
        self.troubles = 0;
        if self.job.is_some() {
            return self.note(Vec::new());
        }
        if let Some(upload) = self.gone.pop() {
            return match upload.state {
                State::Archived | State::Late | State::Duplicate => Phase::Closing {
                    upload: Box::new(upload),
                    has_more: true,
                    was_gone: true,
                },
                State::Pending | State::Processing | State::Failed => {
                    let mut item = Item::new(upload, None, true);
                    item.is_gone = true;
                    Phase::Searching {
                        item: Box::new(item),
                        then: AfterSearch::ExplainGone,
                    }
                }
            };
        }
        if has_more {
            Phase::Listing
        } else {
            self.note(Vec::new())
        }
    }

    /// The version in work is gone from staging, though its row says it must be there.
    fn explain_gone(&mut self, rules: &Rules) -> Phase {
        self.why = Why::Gone;
        self.list_again(
            rules,
            "a version went away from staging while it was in work",
        )
    }

    fn list_again(&mut self, rules: &Rules, reason: &str) -> Phase {
        self.troubles += 1;
        if self.job.is_some() {
            self.note(Vec::new())
        } else if self.troubles > rules.troubles_max {
            stall(reason.into())
        } else {
            Phase::Listing
        }
    }

    /// A store did not do what was asked, or the archive changed: again after a pause, until it is too much for this
    /// turn; then the upload gives way to others.
    fn trouble(&mut self, rules: &Rules, again: Phase, reason: String) -> Phase {
        self.troubles += 1;
        if self.troubles <= rules.troubles_max {
            return Phase::Pausing {
                then: Box::new(again),
            };
        }
        match again {
            Phase::ListingFirst => Phase::Stopped(Stopped::Stalled { reason }),
            Phase::Deleting { upload, has_more } => {
                self.undeletable = Some(format!(
                    "{} is archived and cannot be deleted from staging: {reason}",
                    upload.id
                ));
                self.after_upload(has_more)
            }
            // It is set aside as it was, and looked for by another turn.
            Phase::HeadingSource { upload, .. } if upload.state == State::Failed => {
                self.look_no_more()
            }
            Phase::Searching { item, .. }
            | Phase::Verifying { item, .. }
            | Phase::RemovingCopy { item, .. }
                if !item.is_gone && item.upload.state == State::Failed =>
            {
                self.look_no_more()
            }
            Phase::HeadingSource {
                upload, has_more, ..
            } => {
                let item = Box::new(Item::new(*upload, None, has_more));
                let turn = item.deferred(reason);
                Phase::Ending { item, turn }
            }
            Phase::Searching { item, .. }
            | Phase::Comparing { item, .. }
            | Phase::Confirming { item, .. }
            | Phase::HeadingArchive { item }
            | Phase::Copying { item, .. }
            | Phase::Verifying { item, .. }
            | Phase::RemovingCopy { item, .. }
                if !item.is_gone =>
            {
                let turn = item.deferred(reason);
                Phase::Ending { item, turn }
            }
            _ => stall(reason),
        }
    }

    /// Gives up looking for what was set aside, for this turn: others are not to wait for a store that fails at it.
    fn look_no_more(&mut self) -> Phase {
        self.looks_no_more = true;
        self.after_upload(true)
    }

    fn copy_failed(&mut self, rules: &Rules, mut item: Box<Item>, failure: CopyFailure) -> Phase {
        match failure {
            CopyFailure::ConditionFailed => {
                let again = Phase::Searching {
                    item,
                    then: AfterSearch::Archive,
                };
                self.trouble(rules, again, "the archive keeps changing".into())
            }
            CopyFailure::NotWritten(reason) => {
                self.trouble(rules, Phase::HeadingArchive { item }, reason)
            }
            CopyFailure::Unknown(reason) => {
                item.is_unsure = true;
                let again = Phase::Searching {
                    item,
                    then: AfterSearch::Archive,
                };
                self.trouble(rules, again, reason)
            }
            CopyFailure::SourceGone => Phase::Searching {
                item,
                then: AfterSearch::SourceGone,
            },
            CopyFailure::Refused(reason) => set_aside(
                rules,
                item,
                Turn::Failed {
                    reason: format!("the archive refuses it: {reason}"),
                    outcome: AttemptOutcome::Permanent,
                },
            ),
        }
    }

    /// The archive does not have the upload in work.
    fn not_found(&mut self, rules: &Rules, item: Box<Item>, then: AfterSearch) -> Phase {
        match then {
            AfterSearch::Begin => self.try_it(rules, item),
            AfterSearch::Archive => Phase::HeadingArchive { item },
            AfterSearch::Late => Phase::Copying {
                item,
                is_late: true,
                condition: WriteCondition::IfNoneMatch,
            },
            AfterSearch::End(turn) => Phase::Ending { item, turn },
            AfterSearch::StayFailed => Phase::Ending {
                item,
                turn: Turn::StaysFailed,
            },
            AfterSearch::ExplainGone => Phase::Ending {
                item,
                turn: Turn::Failed {
                    reason: "its version was deleted from staging before it was archived".into(),
                    outcome: AttemptOutcome::Permanent,
                },
            },
            AfterSearch::SourceGone => self.explain_gone(rules),
        }
    }

    /// Goes on with an upload that is in no archive yet. Where it may be a client's repeat of an archived one, the two are
    /// compared first, in the archive itself: a record says what was there once, and a repeat is deleted for good. That the
    /// archive shows those bytes under the key is asked last, right before.
    fn try_it(&self, rules: &Rules, mut item: Box<Item>) -> Phase {
        let compared = item.archived_mint.take().and_then(|first| {
            let archived = compared_with(&item, &first)?;
            Some((first, archived))
        });
        match compared {
            Some((first, archived)) => Phase::Comparing {
                item,
                first,
                archived,
            },
            None => self.routed(rules, item),
        }
    }

    /// Begins an attempt, or leaves it to a job.
    fn routed(&self, rules: &Rules, item: Box<Item>) -> Phase {
        let is_for_job = |source| rules.routes.of(source) == Route::Job;
        if self.job.is_none() && item.source.as_ref().is_some_and(is_for_job) {
            Phase::Queueing { item }
        } else {
            Phase::Beginning { item }
        }
    }

    fn archived_at(
        &self,
        rules: &Rules,
        item: &Item,
        is_late: bool,
        version_id: VersionId,
    ) -> VersionRef {
        VersionRef {
            bucket: rules.archive.clone(),
            key: if is_late {
                crate::archive::late_key(&self.key.key, &item.mark())
            } else {
                self.key.key.clone()
            },
            version_id,
        }
    }
}

pub(super) fn processed(
    rules: &Rules,
    mut item: Box<Item>,
    result: Result<crate::Report, ProcessError>,
) -> Phase {
    let is_last = item.upload.attempts >= rules.attempts_max;
    let (reason, outcome) = match result {
        Ok(report) => {
            item.report = Some(report);
            return if rules.ledger.moves_in_one {
                Phase::Moving { item }
            } else {
                Phase::HeadingArchive { item }
            };
        }
        Err(ProcessError::Transient(reason)) if !is_last => {
            let turn = Turn::Deferred {
                reason,
                is_counted: true,
            };
            return Phase::Ending { item, turn };
        }
        // Also the last attempt: nothing was tried.
        Err(ProcessError::NotRun(reason)) => {
            let turn = Turn::Deferred {
                reason,
                is_counted: false,
            };
            return Phase::Ending { item, turn };
        }
        Err(ProcessError::Crashed(reason)) if !is_last => {
            return Phase::Ending {
                item,
                turn: Turn::Crashed { reason },
            };
        }
        Err(ProcessError::Transient(reason)) => (reason, AttemptOutcome::Transient),
        Err(ProcessError::Permanent(reason)) => (reason, AttemptOutcome::Permanent),
        Err(ProcessError::Crashed(reason)) => (reason, AttemptOutcome::Crashed),
    };
    set_aside(rules, item, Turn::Failed { reason, outcome })
}

/// Ends an upload for good, but not one that an earlier run archived.
fn set_aside(rules: &Rules, item: Box<Item>, turn: Turn) -> Phase {
    if item.may_be_archived() && !rules.ledger.moves_in_one {
        Phase::Searching {
            item,
            then: AfterSearch::End(turn),
        }
    } else {
        Phase::Ending { item, turn }
    }
}

/// Where the upload is archived that the one in work may repeat; none where what is known of both tells them apart.
fn compared_with(item: &Item, first: &Upload) -> Option<VersionRef> {
    let (staged, source) = (first.staged.as_ref()?, item.source.as_ref()?);
    let record = first.archive.as_ref()?;
    // Whoever copies a file back from the archive, which its mark tells, repeats nothing: they want it processed again.
    let is_copied_back =
        Mark::of(&source.metadata).is_some() || Replay::of(&source.metadata).is_some();
    // One that came late is under another key, which shows newer bytes.
    let is_other = is_copied_back
        || record.at.key != first.key.key
        || item.upload.id == first.id
        || first.media_type != source.metadata.content_type
        || staged.size_bytes != source.size_bytes
        || record.checksum.as_ref().is_some_and(|kept| {
            source
                .full_checksum(kept.algorithm)
                .is_some_and(|ours| ours != kept)
        });
    (!is_other).then(|| record.at.clone())
}

fn drain(phase: Phase) -> Phase {
    match phase {
        Phase::ListingFirst | Phase::Starting { .. } | Phase::Claiming => {
            Phase::Stopped(Stopped::Drained)
        }
        Phase::Listing
        | Phase::FindingUnfinished { .. }
        | Phase::Noting { .. }
        | Phase::HeadingSource { .. }
        | Phase::Comparing { .. }
        | Phase::Confirming { .. }
        | Phase::Queueing { .. }
        | Phase::Beginning { .. } => Phase::Releasing {
            stalled: Some(Stopped::Drained),
        },
        phase => phase,
    }
}

fn stall(reason: String) -> Phase {
    Phase::Releasing {
        stalled: Some(Stopped::Stalled { reason }),
    }
}
