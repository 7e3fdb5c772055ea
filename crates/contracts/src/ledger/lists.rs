//! What is listed, counted and found.

use two_buckets_pipeline::ledger::{Counts, Error, ListUploads};
use two_buckets_pipeline::{Ledger, State, Upload, UploadId};

use super::{archive, begin, begun, deferred, failed, hold, ms, note, record};

async fn pages<L: Ledger>(ledger: &L, options: ListUploads) -> Vec<UploadId> {
    let mut options = options;
    let mut ids = Vec::new();
    loop {
        let page = ledger.list(&options).await.unwrap();
        assert!(options.limit == 0 || page.uploads.len() <= options.limit);
        ids.extend(page.uploads.into_iter().map(|upload| upload.id));
        match page.next {
            Some(next) => options.after = Some(next),
            None => return ids,
        }
    }
}

/// Pages neither repeat nor leave out.
pub async fn pages_of_a_list_hold_each_upload_once_the_latest_first<L: Ledger>(ledger: &L) {
    let mut ids = Vec::new();
    for n in 0..7 {
        let name = format!("k{n}");
        let lease = hold(ledger, &name, 0).await;
        ids.push(note(ledger, &lease, "v", 5).await.id);
    }
    ids.reverse();
    for limit in [0, 1, 2, 6, 7, 8] {
        let options = ListUploads {
            limit,
            ..ListUploads::default()
        };
        assert_eq!(pages(ledger, options).await, ids, "{limit} a page");
    }
}

/// Each cut gives what the whole list would.
pub async fn a_list_can_be_cut_to_a_state_a_key_or_a_text<L: Ledger>(ledger: &L) {
    let mut all = Vec::new();
    for name in ["photos/one.jpg", "photos/two.jpg", "notes.txt"] {
        let lease = hold(ledger, name, 0).await;
        for version in ["v1", "v2"] {
            all.push(note(ledger, &lease, version, 5).await);
        }
        let first = &all[all.len() - 2];
        ledger
            .end(&lease, &first.id, &failed("no"), ms(9))
            .await
            .unwrap();
    }
    all.reverse();
    let expected = |wanted: &dyn Fn(&Upload) -> bool| -> Vec<UploadId> {
        all.iter()
            .filter(|row| wanted(row))
            .map(|row| row.id.clone())
            .collect()
    };
    for limit in [0, 1, 2] {
        let cut = |state, key: Option<&str>, text: Option<&str>| ListUploads {
            state,
            key: key.map(Into::into),
            key_contains: text.map(Into::into),
            prefix: None,
            limit,
            after: None,
        };
        let is_failed = |row: &Upload| row.version().unwrap().version_id.as_str() == "v1";
        assert_eq!(
            pages(ledger, cut(Some(State::Failed), None, None)).await,
            expected(&is_failed)
        );
        assert_eq!(
            pages(ledger, cut(None, Some("photos/one.jpg"), None)).await,
            expected(&|row| row.key.key.as_str() == "photos/one.jpg")
        );
        assert_eq!(
            pages(ledger, cut(Some(State::Pending), None, Some("photos"))).await,
            expected(&|row| row.key.key.as_str().contains("photos") && !is_failed(row))
        );
        assert_eq!(pages(ledger, cut(None, Some("photos"), None)).await, []);
        for prefix in ["photos/", "notes.txt", "notes", "o"] {
            let below = ListUploads {
                prefix: Some(prefix.into()),
                ..cut(None, None, None)
            };
            assert_eq!(
                pages(ledger, below).await,
                expected(&|row| {
                    let rest = row.key.key.as_str().strip_prefix(prefix);
                    rest.is_some_and(|rest| !rest.is_empty())
                }),
                "{prefix}"
            );
        }
        assert_eq!(
            pages(ledger, cut(Some(State::Archived), None, None)).await,
            []
        );
    }
}

/// Counts and rows change together.
pub async fn counts_are_those_of_the_rows<L: Ledger>(ledger: &L) {
    assert_eq!(ledger.counts().await.unwrap(), Counts::default());
    let lease = hold(ledger, "a", 0).await;
    let mut ids = Vec::new();
    for version in ["v1", "v2", "v3", "v4"] {
        ids.push(note(ledger, &lease, version, 5).await.id);
    }
    begun(ledger, &lease, &ids[0], 6).await;
    begun(ledger, &lease, &ids[1], 6).await;
    archive(ledger, &lease, &ids[1]).await.unwrap();
    ledger
        .end(&lease, &ids[2], &failed("no"), ms(7))
        .await
        .unwrap();
    let expected = Counts {
        pending: 1,
        processing: 1,
        archived: 1,
        failed: 1,
        ..Counts::default()
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
    ledger.retry(&ids[2]).await.unwrap();
    let expected = Counts {
        pending: 2,
        failed: 0,
        ..expected
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
    // What is closed is counted otherwise by who keeps much of it.
    for (name, is_late) in [("b", true), ("c", false), ("d", true), ("e", true)] {
        let lease = hold(ledger, name, 0).await;
        let id = note(ledger, &lease, "v", 5).await.id;
        begun(ledger, &lease, &id, 6).await;
        ledger
            .record_archived(&lease, &id, &record("x"), is_late, None, ms(50))
            .await
            .unwrap();
        ledger.close(&lease, &id).await.unwrap();
    }
    let expected = Counts {
        archived: 2,
        late: 3,
        ..expected
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
}

/// The number to alarm on, and the sweep's walk.
pub async fn unfinished_uploads_are_walked_from_the_oldest<L: Ledger>(ledger: &L) {
    let mut by_age = Vec::new();
    for (name, received) in [("a", 30), ("b", 10), ("c", 20), ("d", -5)] {
        let lease = hold(ledger, name, 0).await;
        by_age.push((received, note(ledger, &lease, "v", received).await.id));
    }
    by_age.sort();
    let oldest = ledger.oldest_unfinished().await.unwrap().unwrap();
    assert_eq!(oldest.id, by_age[0].1);
    let mut walked: Vec<UploadId> = Vec::new();
    loop {
        let page = ledger.unfinished(walked.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        walked.extend(page.into_iter().map(|upload| upload.id));
    }
    walked.sort();
    let mut expected: Vec<UploadId> = by_age.into_iter().map(|(_, id)| id).collect();
    expected.sort();
    assert_eq!(walked, expected);
}

/// A wait ends by itself.
pub async fn waits_that_are_over_are_due<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let mut ids = Vec::new();
    for (version, until) in [("v1", 100), ("v2", 200)] {
        let id = note(ledger, &lease, version, 5).await.id;
        begun(ledger, &lease, &id, 6).await;
        ledger
            .end(&lease, &id, &deferred(until), ms(7))
            .await
            .unwrap();
        ids.push(id);
    }
    let due = async |now| {
        let rows = ledger.due(ms(now), 10).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(due(99).await, []);
    assert_eq!(due(100).await, ids[..1]);
    assert_eq!(due(200).await, ids);
    begun(ledger, &lease, &ids[0], 300).await;
    assert_eq!(due(300).await, ids[1..]);
}

/// Absence is not a failure of the ledger.
pub async fn an_unknown_id_is_none_and_cannot_be_changed<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    for text in ["no-such-upload", "00000000000000ff", "1"] {
        let id = UploadId::new(text).unwrap();
        assert_eq!(ledger.get(&id).await.unwrap(), None);
        assert!(matches!(ledger.retry(&id).await, Err(Error::NotFound(_))));
        assert!(matches!(
            begin(ledger, &lease, &id, 1).await,
            Err(Error::NotFound(_))
        ));
    }
}
