//! Uploads that are expected under a key made for them.

use two_buckets_objects::Checksum;
use two_buckets_pipeline::ledger::{Error, ListUploads, SourceFacts};
use two_buckets_pipeline::{Begin, End, Expectation, Ledger, NotRetried, State, Upload, UploadId};

use super::{archive, begun, checksum, hold, key, listed, ms, note, row};

async fn mint<L: Ledger>(ledger: &L, name: &str, until: i64) -> Upload {
    let expectation = Expectation {
        until: ms(until),
        size_bytes: Some(3),
        media_type: Some("text/plain".into()),
        checksum: Some(checksum()),
    };
    ledger.mint(&key(name), &expectation, ms(1)).await.unwrap()
}

async fn overdue<L: Ledger>(ledger: &L, now: i64) -> Vec<UploadId> {
    let mut ids: Vec<UploadId> = Vec::new();
    loop {
        let page = ledger.overdue(ms(now), ids.last(), 2).await.unwrap();
        if page.is_empty() {
            return ids;
        }
        assert!(page.len() <= 2);
        ids.extend(page.into_iter().map(|row| row.id));
    }
}

/// An expected upload is one row from the moment its key is minted.
pub async fn the_first_version_of_a_minted_key_is_its_expected_upload<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    assert_eq!(
        (minted.state, minted.staged.clone()),
        (State::Pending, None)
    );
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    assert_eq!(arrived.id, minted.id);
    assert_eq!(arrived.received_at, ms(5));
    assert_eq!(arrived.expectation, minted.expectation);
    assert_eq!(
        ledger.find(&arrived.version().unwrap()).await.unwrap(),
        Some(arrived.clone())
    );
    assert_ne!(note(ledger, &lease, "v2", 6).await.id, minted.id);
    let unfinished = ledger.unfinished_of(&key("a")).await.unwrap();
    assert_eq!(unfinished.len(), 2, "each once");
}

/// What is only expected is pending, keeps what was said of it, and nothing is owed to it.
pub async fn an_expected_upload_is_pending_and_not_unfinished<L: Ledger>(ledger: &L) {
    assert_eq!(ledger.minted_for(&key("a")).await.unwrap(), None);
    let minted = mint(ledger, "a", 100).await;
    assert_eq!(row(ledger, &minted.id).await, minted);
    assert_eq!(minted.expected_until(), Some(ms(100)));
    let said = minted.expectation.as_ref().unwrap();
    assert_eq!(
        (said.size_bytes, &said.checksum),
        (Some(3), &Some(checksum()))
    );
    assert_eq!(
        ledger.minted_for(&key("a")).await.unwrap(),
        Some(minted.clone())
    );
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
    assert_eq!(ledger.unfinished(None, 9).await.unwrap(), []);
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap(), []);
    assert_eq!(ledger.due(ms(999), 9).await.unwrap(), []);
    assert_eq!(ledger.counts().await.unwrap().pending, 1);
    let list = ledger.list(&ListUploads::default()).await.unwrap();
    assert_eq!(list.uploads, std::slice::from_ref(&minted));
    assert!(matches!(
        ledger.retry(&minted.id).await,
        Err(Error::NotRetried(NotRetried::NotFailed(State::Pending)))
    ));
    // Other uploads count as ever.
    let lease = hold(ledger, "b", 2).await;
    let other = note(ledger, &lease, "v", 50).await;
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), Some(other));
    assert_eq!(ledger.minted_for(&key("b")).await.unwrap(), None);
}

/// What does not come ends, and not before its moment.
pub async fn what_is_overdue_is_walked_and_given_up_only_after_its_moment<L: Ledger>(ledger: &L) {
    let mut ids = Vec::new();
    for (name, until) in [("c", 300), ("a", 100), ("e", 500), ("b", 200), ("d", 300)] {
        ids.push((until, mint(ledger, name, until).await.id));
    }
    ids.sort();
    let sorted: Vec<UploadId> = ids.into_iter().map(|(_, id)| id).collect();
    assert_eq!(overdue(ledger, 100).await, []);
    assert_eq!(overdue(ledger, 101).await, sorted[..1]);
    let mut walked = overdue(ledger, 500).await;
    walked.sort();
    let mut expected = sorted[..4].to_vec();
    expected.sort();
    assert_eq!(walked, expected);
    let early = ledger.expire(&sorted[4], ms(500)).await.unwrap();
    assert_eq!(early.state, State::Pending);
    let gone = ledger.expire(&sorted[0], ms(500)).await.unwrap();
    assert_eq!(
        (gone.state, gone.finished_at),
        (State::Failed, Some(ms(500)))
    );
    assert!(
        gone.reason
            .as_ref()
            .unwrap()
            .starts_with("it never arrived")
    );
    assert_eq!(row(ledger, &gone.id).await, gone);
    assert!(!overdue(ledger, 500).await.contains(&gone.id));
    // A walk goes on behind a row that was given up meanwhile.
    let next = ledger.overdue(ms(500), Some(&gone.id), 1).await.unwrap();
    assert_eq!(next[0].id, sorted[1]);
    assert!(matches!(
        ledger.retry(&gone.id).await,
        Err(Error::NotRetried(NotRetried::NeverArrived))
    ));
    let counts = ledger.counts().await.unwrap();
    assert_eq!((counts.pending, counts.failed), (4, 1));
}

/// A long PUT that was begun in time, or a multipart, may end after its grant.
pub async fn what_comes_after_it_was_given_up_is_an_upload_like_any_other<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    ledger.expire(&minted.id, ms(101)).await.unwrap();
    let lease = hold(ledger, "a", 200).await;
    let arrived = note(ledger, &lease, "v", 90).await;
    assert_eq!(
        (&arrived.id, arrived.state, &arrived.reason),
        (&minted.id, State::Pending, &None)
    );
    assert_eq!(
        ledger.oldest_unfinished().await.unwrap(),
        Some(arrived.clone())
    );
    // Whoever looked before it came gives up nothing.
    let same = ledger.expire(&minted.id, ms(999)).await.unwrap();
    assert_eq!(same, arrived);
    assert_eq!(overdue(ledger, 999).await, []);
    begun(ledger, &lease, &arrived.id, 201).await;
    archive(ledger, &lease, &arrived.id).await.unwrap();
    ledger.close(&lease, &arrived.id).await.unwrap();
    assert_eq!(ledger.counts().await.unwrap().archived, 1);
    assert_eq!(ledger.counts().await.unwrap().failed, 0);
}

/// A grant can be renewed.
pub async fn minting_a_key_again_moves_the_moment_and_never_back<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    ledger.expire(&minted.id, ms(150)).await.unwrap();
    let again = mint(ledger, "a", 300).await;
    assert_eq!((&again.id, again.state), (&minted.id, State::Pending));
    let bare = Expectation::until(ms(200));
    let again = ledger.mint(&key("a"), &bare, ms(9)).await.unwrap();
    assert_eq!(again.expected_until(), Some(ms(300)));
    assert_eq!(again.expectation.as_ref().unwrap().size_bytes, Some(3));
    assert_eq!(overdue(ledger, 300).await, []);
    assert_eq!(overdue(ledger, 301).await, std::slice::from_ref(&minted.id));
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    // What has come is as it is; but until when a repeat may come is kept.
    let mut again = mint(ledger, "a", 900).await;
    assert_eq!(ledger.get(&again.id).await.unwrap().as_ref(), Some(&again));
    let kept = again.expectation.as_mut().unwrap();
    assert_eq!(std::mem::replace(&mut kept.until, ms(300)), ms(900));
    assert_eq!(again, arrived);
    assert_eq!(ledger.counts().await.unwrap().pending, 1);
}

/// Nobody can say that the file is another one than the grant before was for.
pub async fn minting_a_key_again_for_another_file_is_refused_and_changes_nothing<L: Ledger>(
    ledger: &L,
) {
    let minted = mint(ledger, "a", 100).await;
    let first = minted.expectation.clone().unwrap();
    let other_size = Expectation {
        size_bytes: Some(4),
        ..Expectation::until(ms(300))
    };
    let other_bytes = Expectation {
        checksum: Some(Checksum {
            value: [0; 8].into(),
            ..checksum()
        }),
        ..Expectation::until(ms(300))
    };
    assert!(first.checksum.is_some() && first.size_bytes == Some(3));
    let refused = async |other| {
        let again = ledger.mint(&key("a"), &other, ms(9)).await;
        assert!(
            matches!(again, Err(Error::DeclaredOtherwise(_))),
            "{again:?}"
        );
    };
    refused(other_size.clone()).await;
    refused(other_bytes.clone()).await;
    assert_eq!(ledger.minted_for(&key("a")).await.unwrap(), Some(minted));
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    refused(other_size).await;
    refused(other_bytes).await;
    assert_eq!(ledger.get(&arrived.id).await.unwrap(), Some(arrived));
}

/// Nobody rejects a file for what was said of it, but it is told.
pub async fn what_arrives_other_than_declared_says_so<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    let lease = hold(ledger, "a", 2).await;
    let mut other = listed("a", "v", 5);
    other.size_bytes = 4;
    let noted = ledger.note(&lease, &[other]).await.unwrap();
    assert_eq!(noted.uploads[0].id, minted.id);
    let said = "it was declared with 3 bytes and arrived with 4";
    assert_eq!(noted.uploads[0].reason.as_deref(), Some(said));
    begun(ledger, &lease, &minted.id, 6).await;
    let archived = archive(ledger, &lease, &minted.id).await.unwrap();
    assert_eq!(
        (archived.state, archived.reason.as_deref()),
        (State::Archived, Some(said))
    );

    mint(ledger, "b", 100).await;
    let lease = hold(ledger, "b", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    assert_eq!(arrived.reason, None);
    let facts = SourceFacts {
        checksum: Some(Checksum {
            value: [0; 8].into(),
            ..checksum()
        }),
        media_type: None,
        replay: None,
    };
    let begin = ledger
        .begin_attempt(&lease, &arrived.id, &facts, 3, ms(6))
        .await;
    assert!(matches!(begin, Ok(Begin::Begun(_))));
    let archived = archive(ledger, &lease, &arrived.id).await.unwrap();
    assert_eq!(
        archived.reason.as_deref(),
        Some("its CRC64NVME is not the one that was declared")
    );
}

/// A client's repeat can be recognised.
pub async fn a_later_version_of_a_minted_key_is_told_of_the_archived_one<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    let lease = hold(ledger, "a", 2).await;
    let versions = [listed("a", "v", 5)];
    let noted = ledger.note(&lease, &versions).await.unwrap();
    assert_eq!(noted.archived_mint, None);
    begun(ledger, &lease, &minted.id, 6).await;
    archive(ledger, &lease, &minted.id).await.unwrap();
    ledger.close(&lease, &minted.id).await.unwrap();
    let noted = ledger
        .note(&lease, &[listed("a", "repeat", 9)])
        .await
        .unwrap();
    assert_eq!(noted.archived_mint.unwrap().id, minted.id);
    let id = noted.uploads[0].id.clone();
    let end = End::Duplicate {
        of: minted.id.clone(),
    };
    let repeat = ledger.end(&lease, &id, &end, ms(10)).await.unwrap();
    assert_eq!(repeat.state, State::Duplicate);
    ledger.close(&lease, &id).await.unwrap();
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
}
