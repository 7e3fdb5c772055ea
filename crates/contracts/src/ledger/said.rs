//! What attempts say: logs and progress.

use two_buckets_pipeline::ledger::{Error, KeptLog, Said, SourceFacts};
use two_buckets_pipeline::{Begin, Ledger, LogExcerpt, ProgressAt, Upload};

use super::{archive, begun, deferred, hold, ms, note, row};

fn wrote(text: &'static str) -> Said {
    Said {
        log: Some(excerpt(text)),
        progress: None,
    }
}

fn excerpt(text: &'static str) -> LogExcerpt {
    LogExcerpt {
        first: text.as_bytes().into(),
        dropped_bytes: 7,
        last: b"\xff the end".as_slice().into(),
    }
}

fn kept(attempt: u32, text: &'static str) -> KeptLog {
    KeptLog {
        attempt,
        log: excerpt(text),
    }
}

/// A log is kept whole each time, by attempt, whatever becomes of the upload; what wrote nothing has none.
pub async fn the_log_of_an_attempt_is_what_it_kept_last<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    assert_eq!(ledger.logs(&id).await.unwrap(), []);
    begun(ledger, &lease, &id, 6).await;
    for text in ["one", "one, two"] {
        ledger.keep_said(&id, 1, &wrote(text)).await.unwrap();
        assert_eq!(ledger.logs(&id).await.unwrap(), [kept(1, text)]);
    }
    ledger.end(&lease, &id, &deferred(7), ms(7)).await.unwrap();
    begun(ledger, &lease, &id, 8).await;
    ledger.end(&lease, &id, &deferred(9), ms(9)).await.unwrap();
    begun(ledger, &lease, &id, 10).await;
    ledger.keep_said(&id, 3, &wrote("again")).await.unwrap();
    archive(ledger, &lease, &id).await.unwrap();
    let both = [kept(1, "one, two"), kept(3, "again")];
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
    let other = note(ledger, &lease, "v2", 6).await.id;
    assert_eq!(ledger.logs(&other).await.unwrap(), []);
    for (id, attempt) in [(&id, 4), (&other, 1)] {
        let refused = ledger.keep_said(id, attempt, &wrote("x")).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    }
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
}

/// What a worker that lost its lease has to say is worth reading, and is its own attempt's.
pub async fn an_attempt_that_was_fenced_off_keeps_its_log<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let other = hold(ledger, "a", 60_000).await;
    begun(ledger, &other, &id, 60_001).await;
    let progress = ProgressAt {
        done: 1,
        total: None,
        words: "stale".into(),
    };
    let said = Said {
        progress: Some(progress),
        ..wrote("stale")
    };
    ledger.keep_said(&id, 1, &said).await.unwrap();
    ledger.keep_said(&id, 2, &wrote("new")).await.unwrap();
    let both = [kept(1, "stale"), kept(2, "new")];
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
    assert_eq!(row(ledger, &id).await.progress, None);
}

/// Space is bounded however often an upload is tried.
pub async fn logs_are_kept_for_the_latest_attempts_only<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    let most = u32::try_from(Upload::LOG_MAX).unwrap();
    for attempt in 1..=most + 2 {
        let max = u32::MAX;
        let now = ms(i64::from(attempt) * 10);
        let facts = SourceFacts::default();
        let begin = ledger.begin_attempt(&lease, &id, &facts, max, now).await;
        assert!(matches!(begin, Ok(Begin::Begun(_))), "{begin:?}");
        ledger.keep_said(&id, attempt, &wrote("x")).await.unwrap();
        let end = deferred(i64::from(attempt) * 10 + 5);
        ledger.end(&lease, &id, &end, now).await.unwrap();
    }
    let logs = ledger.logs(&id).await.unwrap();
    let attempts: Vec<u32> = logs.into_iter().map(|log| log.attempt).collect();
    assert_eq!(attempts, (3..=most + 2).collect::<Vec<_>>());
    let pushed_out = ledger.keep_said(&id, 2, &wrote("x")).await;
    assert!(matches!(pushed_out, Err(Error::NotFound(_))));
}

/// Progress is of the run that runs, and changes nothing else.
pub async fn progress_is_shown_while_its_attempt_runs<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    let before = begun(ledger, &lease, &id, 6).await;
    let progress = ProgressAt {
        done: 3,
        total: Some(12),
        words: "pages".into(),
    };
    let said = Said {
        log: None,
        progress: Some(progress.clone()),
    };
    ledger.keep_said(&id, 1, &said).await.unwrap();
    let mut expected = before;
    expected.progress = Some(progress);
    assert_eq!(row(ledger, &id).await, expected);
    assert_eq!(ledger.logs(&id).await.unwrap(), []);
    let ended = ledger.end(&lease, &id, &deferred(9), ms(9)).await.unwrap();
    assert_eq!(ended.progress, None);
    ledger.keep_said(&id, 1, &said).await.unwrap();
    assert_eq!(row(ledger, &id).await, ended);
}
