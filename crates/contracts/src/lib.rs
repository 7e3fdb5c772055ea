//! What each trait promises, as tests that any implementation runs.
//!
//! A clause is a function here and a test of its own where it is run, so that a report says which clause which
//! implementation breaks. [`ledger_contract!`], [`object_store_contract!`], [`tracker_contract_where_possible!`] and
//! [`grants_contract!`] make the tests; each clause gets an implementation of its own, made anew. Time is given to the
//! calls, so no clause waits.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "clauses are tests: they panic where a promise is broken"
)]

pub mod grants;
pub mod ledger;
pub mod object_store;
pub mod tracker;

/// Makes a test of each clause of the [`Ledger`](two_buckets_pipeline::Ledger)'s contract.
/// Takes a function that makes an empty ledger, or something that holds one and derefs to it, in a future.
#[macro_export]
macro_rules! ledger_contract {
    ($make:expr) => {
        $crate::ledger_clauses! { clauses, $make }
    };
}

/// As [`ledger_contract!`], of a function that makes an [`Option`]: none where there is nothing to make a ledger with,
/// after it has said so. The tests pass then.
#[macro_export]
macro_rules! ledger_contract_where_possible {
    ($make:expr) => {
        $crate::ledger_clauses! { clauses_where_possible, $make }
    };
}

/// The clauses of the ledger's contract.
#[doc(hidden)]
#[macro_export]
macro_rules! ledger_clauses {
    ($clauses:ident, $make:expr) => {
        $crate::$clauses! { $make, ledger:
            a_claim_gives_a_higher_token_each_time,
            a_live_lease_turns_others_away_and_is_dirty_then,
            a_lease_past_its_end_can_be_taken_over,
            a_lease_past_its_end_still_writes_while_nobody_took_it_over,
            a_renewed_lease_lives_on,
            a_dirty_lease_is_cleaned_and_goes_on_instead_of_ending,
            a_released_key_can_be_claimed_at_once,
            a_stale_lease_can_change_nothing,
            a_released_lease_can_change_nothing,
            versions_get_one_row_each_numbered_as_given,
            noting_again_changes_nothing,
            keys_that_begin_alike_are_strangers,
            an_attempt_is_counted_before_it_runs,
            what_an_upload_is_a_replay_of_is_kept_from_its_attempt_on,
            the_most_attempts_are_never_passed,
            a_waiting_upload_does_not_begin_before_its_moment,
            the_first_archive_record_stands,
            the_log_of_an_attempt_is_what_it_kept_last,
            an_attempt_that_was_fenced_off_keeps_its_log,
            logs_are_kept_for_the_latest_attempts_only,
            progress_is_shown_while_its_attempt_runs,
            an_archived_upload_is_not_set_aside,
            what_is_set_aside_in_doubt_says_so_until_it_was_looked_for,
            what_was_set_aside_can_be_recorded_as_archived,
            an_archived_upload_is_unfinished_until_it_is_closed,
            a_pending_upload_is_not_closed,
            retry_gives_attempts_back_to_failed_uploads_only,
            the_first_version_of_a_minted_key_is_its_expected_upload,
            an_expected_upload_is_pending_and_not_unfinished,
            what_is_overdue_is_walked_and_given_up_only_after_its_moment,
            what_comes_after_it_was_given_up_is_an_upload_like_any_other,
            minting_a_key_again_moves_the_moment_and_never_back,
            minting_a_key_again_for_another_file_is_refused_and_changes_nothing,
            what_arrives_other_than_declared_says_so,
            a_later_version_of_a_minted_key_is_told_of_the_archived_one,
            pages_of_a_list_hold_each_upload_once_the_latest_first,
            a_list_can_be_cut_to_a_state_a_key_or_a_text,
            counts_are_those_of_the_rows,
            unfinished_uploads_are_walked_from_the_oldest,
            waits_that_are_over_are_due,
            jobs_are_listed_until_they_end,
            the_lease_of_a_job_is_found_by_its_upload,
            a_stale_lease_leaves_nothing_to_a_job,
            a_cancelled_job_is_fenced_off_and_its_key_is_free,
            cancelling_takes_no_lease_but_the_jobs_own,
            only_an_unfinished_job_can_be_cancelled,
            an_unknown_id_is_none_and_cannot_be_changed
        }
    };
}

/// Makes a test of each clause of the [`ObjectStore`](two_buckets_objects::ObjectStore)'s contract.
/// Takes a function that makes, in a future, a store and the name of an empty versioned bucket in it.
#[macro_export]
macro_rules! object_store_contract {
    ($make:expr) => {
        $crate::object_store_clauses! { clauses, $make }
    };
}

/// As [`object_store_contract!`], of a function that makes an [`Option`]: none where there is nothing to make a store with,
/// after it has said so. The tests pass then.
#[macro_export]
macro_rules! object_store_contract_where_possible {
    ($make:expr) => {
        $crate::object_store_clauses! { clauses_where_possible, $make }
    };
}

/// The clauses of the store's contract.
#[doc(hidden)]
#[macro_export]
macro_rules! object_store_clauses {
    ($clauses:ident, $make:expr) => {
        $crate::$clauses! { $make, object_store:
            what_was_put_is_read_back,
            a_large_body_is_read_back_whole_and_in_ranges,
            an_empty_object_is_an_object,
            a_range_outside_is_refused,
            an_overwritten_version_stays_as_it_was,
            a_put_if_none_match_lands_once,
            a_put_if_match_needs_the_current_tag,
            a_body_that_fails_leaves_nothing,
            a_copy_takes_exactly_the_version_named_with_its_metadata,
            a_copy_keeps_the_checksum_of_its_source,
            a_conditional_copy_lands_only_where_the_archive_is_as_seen,
            a_copy_of_what_is_gone_says_so,
            a_deleted_version_is_gone_and_others_stay,
            deleting_what_is_not_there_succeeds,
            versions_are_listed_newest_first_and_keys_in_byte_order,
            a_prefix_that_is_a_key_comes_before_longer_keys,
            pages_of_versions_hold_each_once,
            what_is_not_there_is_not_found
        }
    };
}

/// Makes a test of each clause of the [`Tracker`](two_buckets_uploads::Tracker)'s contract.
/// Takes a function that makes, in a future, an empty [`TrackedHost`](crate::tracker::TrackedHost), or none where there is
/// nothing to make one with, after it has said so. The tests pass then.
#[macro_export]
macro_rules! tracker_contract_where_possible {
    ($make:expr) => {
        $crate::clauses_where_possible! { $make, tracker:
            what_waits_is_an_upload_before_anybody_looked_at_it,
            an_upload_keeps_its_id_and_its_bytes_on_its_way,
            what_is_not_there_is_not_found_by_the_tracker,
            pages_of_uploads_hold_each_once,
            whoever_sees_a_prefix_learns_nothing_of_others,
            a_listener_hears_of_what_changes,
            a_failed_upload_is_retried_and_no_other,
            many_are_retried_as_they_are_selected,
            what_is_no_job_is_not_cancelled,
            a_pause_is_since_it_began_and_ends_once,
            what_came_during_a_pause_is_processed_after_it,
            a_sweep_says_what_it_looked_at,
            an_expected_upload_keeps_its_id_when_it_comes,
            a_key_made_for_one_file_is_refused_to_another,
            a_replay_is_processed_again_and_says_where_it_came_from,
            an_old_version_is_replayed_and_kept_beside,
            what_is_reserved_or_gone_is_not_replayed
        }
    };
}

/// Makes a test of each clause of the contract of [`Grants`](two_buckets_uploads::Grants).
/// Takes a function that makes, in a future, a [`Place`](grants::Place).
#[macro_export]
macro_rules! grants_contract {
    ($make:expr) => {
        $crate::clauses! { $make, grants:
            a_signed_put_takes_what_it_was_signed_for,
            a_url_that_binds_nothing_takes_any_bytes,
            awkward_keys_are_signed_as_they_are,
            grants_end_when_they_say,
            nothing_secret_is_shown,
            a_form_takes_what_it_was_signed_for,
            a_form_below_a_prefix_takes_the_name_of_its_file,
            a_multipart_upload_is_carried_with_all_that_was_said_of_it,
            a_completion_that_is_repeated_never_blames_another_file,
            completing_over_another_file_is_a_conflict_that_keeps_the_parts,
            parts_that_are_not_as_named_are_refused,
            an_upload_that_is_gone_or_of_another_key_is_not_found,
            every_part_that_was_received_is_listed,
            calls_of_a_multipart_upload_are_signed_one_by_one,
            credentials_upload_their_key_at_once_and_in_parts,
            credentials_do_nothing_but_upload_their_key,
            credentials_for_a_key_that_must_be_new_need_the_condition,
            credentials_for_a_key_that_looks_like_a_pattern_open_no_other,
            credentials_for_a_prefix_stay_below_it,
            a_key_that_does_not_fit_into_a_policy_is_refused_in_words
        }
    };
}

/// Makes a test of each named clause of a module of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! clauses {
    ($make:expr, $module:ident: $($clause:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                let subject = ($make)().await;
                $crate::$module::$clause(&subject).await;
            }
        )+
    };
}

/// As [`clauses!`], of something that may not be there.
#[doc(hidden)]
#[macro_export]
macro_rules! clauses_where_possible {
    ($make:expr, $module:ident: $($clause:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                if let Some(subject) = ($make)().await {
                    $crate::$module::$clause(&subject).await;
                }
            }
        )+
    };
}
