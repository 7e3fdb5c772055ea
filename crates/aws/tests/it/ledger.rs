//! The ledger on `DynamoDB`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use two_buckets_aws::ledger::{DynamoLedger, create_table};
use two_buckets_objects::{ETag, ListedVersion, ObjectRef, Timestamp, VersionId, VersionRef};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, Error, Release, SourceFacts};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, Expectation, Holder, Lease, Ledger, Report, State, Upload,
};

use crate::moto::moto;
use crate::wire::{Calls, Trouble, Wire};

/// The contract, each clause on a table of its own.
mod contract {
    use super::{DynamoLedger, Fresh};

    async fn make() -> Option<DynamoLedger> {
        Fresh::new(2).await.map(|fresh| fresh.ledger)
    }

    two_buckets_contracts::ledger_contract_where_possible!(make);
}

/// A ledger on a table of its own, and the wire to it.
struct Fresh {
    ledger: DynamoLedger,
    client: aws_sdk_dynamodb::Client,
    table: String,
    wire: Wire,
}

impl std::ops::Deref for Fresh {
    type Target = DynamoLedger;

    fn deref(&self) -> &DynamoLedger {
        &self.ledger
    }
}

impl Fresh {
    async fn new(shards: u8) -> Option<Self> {
        static TABLES: AtomicU32 = AtomicU32::new(0);
        let wire = Wire::new();
        let client = wire.dynamodb(&moto()?.endpoint);
        let table = format!("ledger-{}", TABLES.fetch_add(1, Ordering::Relaxed));
        create_table(&client, &table).await.unwrap();
        let ledger = DynamoLedger::new(client.clone(), &table).with_shards_if_new(shards);
        Some(Self {
            ledger,
            client,
            table,
            wire,
        })
    }

    /// The ledger as another process has it, which remembers nothing.
    fn elsewhere(&self) -> DynamoLedger {
        DynamoLedger::new(self.client.clone(), &self.table)
    }

    async fn items(&self) -> usize {
        let scanned = self.client.scan().table_name(&self.table).send().await;
        scanned.unwrap().items.unwrap().len()
    }
}

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A moment as a worker of today has it.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn key(name: &str) -> ObjectRef {
    ObjectRef {
        bucket: "a-staging-bucket-of-a-stack".parse().unwrap(),
        key: name.parse().unwrap(),
    }
}

fn claim(name: &str, holder: &str, now: Timestamp) -> ClaimKey {
    ClaimKey {
        key: key(name),
        holder: Holder(holder.into()),
        now,
        life: Duration::from_secs(30),
        job: None,
    }
}

async fn hold<L: Ledger>(ledger: &L, name: &str, now: Timestamp) -> Lease {
    match ledger.claim(&claim(name, "one", now)).await.unwrap() {
        Claim::Held(lease) => lease,
        Claim::Busy => panic!("nobody else holds {name}"),
    }
}

fn listed(name: &str, version: &str) -> ListedVersion {
    ListedVersion {
        key: name.parse().unwrap(),
        version_id: VersionId::new(version),
        is_latest: true,
        is_delete_marker: false,
        last_modified: NOW,
        size_bytes: 3_456_789,
        etag: Some(ETag::new("0123456789abcdef0123456789abcdef")),
    }
}

async fn noted<L: Ledger>(ledger: &L, lease: &Lease, version: &str) -> Upload {
    let version = listed(lease.key.key.as_str(), version);
    let noted = ledger.note(lease, &[version]).await.unwrap();
    noted.uploads.into_iter().next().unwrap()
}

async fn begun<L: Ledger>(ledger: &L, lease: &Lease, upload: &Upload) -> Upload {
    let facts = SourceFacts {
        checksum: Some(checksum()),
        media_type: Some("application/pdf".into()),
        replay: None,
    };
    let begin = ledger
        .begin_attempt(lease, &upload.id, &facts, 3, NOW)
        .await;
    match begin.unwrap() {
        Begin::Begun(upload) => upload,
        other => panic!("{other:?}"),
    }
}

fn checksum() -> two_buckets_objects::Checksum {
    two_buckets_objects::Checksum {
        algorithm: two_buckets_objects::Algorithm::Crc64Nvme,
        kind: two_buckets_objects::ChecksumKind::FullObject,
        value: [1, 2, 3, 4, 5, 6, 7, 8].into(),
    }
}

fn record(lease: &Lease) -> ArchiveRecord {
    ArchiveRecord {
        at: VersionRef {
            bucket: "an-archive-bucket-of-a-stack".parse().unwrap(),
            key: lease.key.key.clone(),
            version_id: VersionId::new("3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY"),
        },
        checksum: Some(checksum()),
    }
}

fn report() -> Report {
    let sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    Report::new(format!(
        r#"{{"media_type":"application/pdf","sha256":"{sha}"}}"#
    ))
    .unwrap()
}

async fn archived<L: Ledger>(ledger: &L, lease: &Lease, upload: &Upload) -> Upload {
    let (record, report) = (record(lease), report());
    ledger
        .record_archived(lease, &upload.id, &record, false, Some(&report), NOW)
        .await
        .unwrap()
}

/// The ledger's part of one file's life, without the waits between.
async fn one_file<L: Ledger>(ledger: &L, name: &str) -> Upload {
    let lease = hold(ledger, name, NOW).await;
    let upload = noted(ledger, &lease, "L4kqtJlcpXroDTDmpUMLUo-source-one").await;
    let upload = begun(ledger, &lease, &upload).await;
    let upload = archived(ledger, &lease, &upload).await;
    ledger.close(&lease, &upload.id).await.unwrap();
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
    upload
}

/// Each call is paid for and waited for, for every file: see the decision's table before this number is raised.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_file_costs_seven_calls_and_26_write_units() {
    let Some(fresh) = Fresh::new(8).await else {
        return;
    };
    // The first call of a process asks for the number of shards.
    one_file(&*fresh, "first").await;
    fresh.wire.take_calls();
    let name = "2026-09-21/01K5MZP3F2D9ZK4T6X8V0Q7WBN/an invoice of a usual length.pdf";
    one_file(&*fresh, name).await;
    let calls = fresh.wire.take_calls();
    let expected = [
        ("BatchGetItem", 1),
        ("TransactWriteItems", 4),
        ("UpdateItem", 2),
    ];
    let expected = expected
        .map(|(name, count)| (name.to_owned(), count))
        .into();
    assert_eq!(calls.by_operation, expected);
    assert_eq!(calls.total(), 7);
    assert!(
        calls.item_bytes_max <= 1_024,
        "a row costs twice: {calls:?}"
    );
    assert_eq!(calls.write_units, 26, "{calls:?}");
    assert_eq!(fresh.wire.take_calls(), Calls::default());
}

/// The same with a key that was minted, which is known before it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_minted_file_costs_ten_calls_and_34_write_units() {
    let Some(fresh) = Fresh::new(8).await else {
        return;
    };
    one_file(&*fresh, "first").await;
    fresh.wire.take_calls();
    let expectation = Expectation::until(NOW.after(Duration::from_hours(1)));
    fresh.mint(&key("minted"), &expectation, NOW).await.unwrap();
    one_file(&*fresh, "minted").await;
    let calls = fresh.wire.take_calls();
    assert_eq!(calls.total(), 10, "{calls:?}");
    assert_eq!(calls.write_units, 34, "{calls:?}");
}

/// However many workers are woken for a key, one has it, and each that has it has a higher token.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_claim_at_once_one_holds_the_key_and_tokens_grow() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let mut last = None;
    for round in 0..4 {
        let claims = (0..6).map(|n| {
            let ledger = fresh.elsewhere();
            async move { ledger.claim(&claim("a", &format!("worker {n}"), NOW)).await }
        });
        let claims = futures::future::join_all(claims).await;
        let held: Vec<Lease> = claims
            .into_iter()
            .filter_map(|claim| match claim.unwrap() {
                Claim::Held(lease) => Some(lease),
                Claim::Busy => None,
            })
            .collect();
        assert_eq!(held.len(), 1, "round {round}: {held:?}");
        assert!(Some(held[0].token) > last, "round {round}");
        last = Some(held[0].token);
        // Those who were turned away are not forgotten.
        assert_eq!(fresh.release(&held[0]).await.unwrap(), Release::LookAgain);
        assert_eq!(fresh.release(&held[0]).await.unwrap(), Release::Released);
    }
}

/// A token is higher than those of a lease whose item the table has forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_grow_though_a_released_lease_was_forgotten() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let mut before = hold(&*fresh, "a", NOW).await;
    for _ in 0..5 {
        fresh.release(&before).await.unwrap();
        before = hold(&*fresh, "a", NOW).await;
    }
    fresh.release(&before).await.unwrap();
    let stale = before;
    let item = |attribute: &str, text: &str| {
        (
            attribute.to_owned(),
            aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned()),
        )
    };
    let place = [
        item("pk", "key#a"),
        item("sk", "a-staging-bucket-of-a-stack#lease"),
    ];
    let deleted = fresh.client.delete_item().table_name(&fresh.table);
    deleted.set_key(Some(place.into())).send().await.unwrap();
    let month = Duration::from_hours(30 * 24);
    let later = hold(&*fresh, "a", NOW.after(month)).await;
    assert!(later.token > stale.token);
    assert!(matches!(
        fresh.note(&stale, &[listed("a", "v")]).await,
        Err(Error::FencedOff)
    ));
}

/// A worker that lost its key writes nothing, whatever it does and whenever the other comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_worker_writes_nothing_while_another_works_on_its_key() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let (stale_ledger, ledger) = (fresh.elsewhere(), fresh.elsewhere());
    let stale = hold(&stale_ledger, "a", NOW).await;
    let upload = noted(&stale_ledger, &stale, "v").await;
    begun(&stale_ledger, &stale, &upload).await;
    let later = NOW.after(Duration::from_mins(1));
    // Both go on at the same time; the claim lies somewhere among the stale one's calls.
    let racing = async {
        let mut is_gone = false;
        for n in 0..12 {
            let renewed = stale_ledger
                .renew(&stale, later.after(Duration::from_millis(n)))
                .await;
            let lists = [listed("a", &format!("new {n}"))];
            let noted = stale_ledger.note(&stale, &lists).await;
            for gone in [renewed.is_err(), noted.is_err()] {
                assert!(
                    gone || !is_gone,
                    "it wrote after it was told that it is fenced off"
                );
                is_gone |= gone;
            }
        }
        is_gone
    };
    let taking = async {
        // The stale one renews: until it has stopped, its lease is taken by a claim from the far future.
        let far = NOW.after(Duration::from_hours(1));
        hold(&ledger, "a", far).await
    };
    let (is_gone, lease) = tokio::join!(racing, taking);
    let known = ledger.unfinished_of(&key("a")).await.unwrap();
    let (record, report) = (record(&stale), report());
    let refused = stale_ledger
        .record_archived(&stale, &upload.id, &record, false, Some(&report), later)
        .await;
    assert!(matches!(refused, Err(Error::FencedOff)), "{refused:?}");
    assert!(
        is_gone
            || ledger
                .live_lease(&key("a"), NOW)
                .await
                .unwrap()
                .unwrap()
                .token
                == lease.token
    );
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap(), known);
    let row = begun(&ledger, &lease, &upload).await;
    assert_eq!((row.attempts, row.state), (2, State::Processing));
    assert_eq!(archived(&ledger, &lease, &row).await.state, State::Archived);
}

/// The SDK sends a request again whose answer was lost. It is one change, and the caller is told that it was made.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_made_once_and_reported_as_made() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let wire = &fresh.wire;
    wire.plan("UpdateItem", Trouble::Lost);
    let lease = hold(&*fresh, "a", NOW).await;
    assert!(!lease.dirty);
    wire.plan("TransactWriteItems", Trouble::Lost);
    let upload = noted(&*fresh, &lease, "v").await;
    wire.plan("TransactWriteItems", Trouble::Lost);
    let row = begun(&*fresh, &lease, &upload).await;
    assert_eq!((row.attempts, row.attempts_ever, row.log.len()), (1, 1, 1));
    wire.plan("TransactWriteItems", Trouble::Lost);
    archived(&*fresh, &lease, &row).await;
    wire.plan("TransactWriteItems", Trouble::Lost);
    fresh.close(&lease, &row.id).await.unwrap();
    wire.plan("UpdateItem", Trouble::Lost);
    assert_eq!(fresh.release(&lease).await.unwrap(), Release::Released);
    let expectation = Expectation::until(NOW);
    wire.plan("TransactWriteItems", Trouble::Lost);
    let minted = fresh.mint(&key("b"), &expectation, NOW).await.unwrap();
    assert_eq!(wire.met(), 7);

    let elsewhere = fresh.elsewhere();
    let row = elsewhere.get(&row.id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.closed), (1, true));
    let found = elsewhere.minted_for(&key("b")).await.unwrap();
    assert_eq!(found, Some(minted));
    let counts = elsewhere.counts().await.unwrap();
    assert_eq!((counts.archived, counts.pending), (1, 1));
    // A lease, a closed row and what finds it, its count, an expected row and what finds it, and the table's own item.
    assert_eq!(fresh.items().await, 7);
}

/// The service refuses a transaction that meets another, or for which throughput is lacking, and gives back part of what
/// was asked for at once. All of it passes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_puts_off_is_done_a_moment_later() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let passing = [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ];
    for code in passing {
        fresh
            .wire
            .plan("TransactWriteItems", Trouble::Cancelled(code));
    }
    fresh.wire.plan("BatchGetItem", Trouble::Unprocessed);
    let upload = one_file(&*fresh, "a").await;
    assert_eq!(fresh.wire.met(), 4);
    assert!(
        fresh
            .elsewhere()
            .get(&upload.id)
            .await
            .unwrap()
            .unwrap()
            .closed
    );
    assert_eq!(fresh.counts().await.unwrap().archived, 1);
    // What does not pass is said.
    fresh
        .wire
        .plan("TransactWriteItems", Trouble::Cancelled("ValidationError"));
    let minted = fresh.mint(&key("b"), &Expectation::until(NOW), NOW).await;
    assert!(
        matches!(minted, Err(Error::Unavailable { .. })),
        "{minted:?}"
    );
    assert_eq!(fresh.minted_for(&key("b")).await.unwrap(), None);
}

/// A single write that meets a transaction is refused, which the SDK takes for final: claims, renewals, releases and who is
/// turned away meet the holder's transactions all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_changed_a_moment_after_it_met_a_transaction() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let wire = &fresh.wire;
    wire.plan("UpdateItem", Trouble::Conflict);
    let lease = hold(&*fresh, "a", NOW).await;
    wire.plan("UpdateItem", Trouble::Conflict);
    let later = NOW.after(Duration::from_mins(1));
    assert_eq!(fresh.renew(&lease, later).await.unwrap().expires_at, later);
    // The second claim is refused by its condition and then makes the lease dirty.
    wire.plan("UpdateItem", Trouble::Conflict);
    let other = fresh.elsewhere();
    assert_eq!(
        other.claim(&claim("a", "two", NOW)).await.unwrap(),
        Claim::Busy
    );
    wire.plan("UpdateItem", Trouble::Conflict);
    assert_eq!(fresh.release(&lease).await.unwrap(), Release::LookAgain);
    wire.plan("UpdateItem", Trouble::Conflict);
    assert_eq!(fresh.release(&lease).await.unwrap(), Release::Released);
    assert_eq!(wire.met(), 5);
}

/// Two that change a row at the same moment both do, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_row_at_the_same_moment_are_all_made() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let mints = (0..5).map(|n| {
        let ledger = fresh.elsewhere();
        let expectation = Expectation::until(NOW.after(Duration::from_secs(n)));
        async move { ledger.mint(&key("a"), &expectation, NOW).await.unwrap().id }
    });
    let ids = futures::future::join_all(mints).await;
    assert!(
        ids.iter().all(|id| *id == ids[0]),
        "one row for the key: {ids:?}"
    );
    let row = fresh.get(&ids[0]).await.unwrap().unwrap();
    assert_eq!(
        row.expected_until(),
        Some(NOW.after(Duration::from_secs(4)))
    );
    assert_eq!(fresh.counts().await.unwrap().pending, 1);
}

/// The largest note is one transaction of the most items there are.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_versions_are_noted_at_once_as_the_ledger_says() {
    let Some(fresh) = Fresh::new(2).await else {
        return;
    };
    fresh
        .mint(&key("a"), &Expectation::until(NOW), NOW)
        .await
        .unwrap();
    let lease = hold(&*fresh, "a", NOW).await;
    let versions: Vec<ListedVersion> = (0..two_buckets_pipeline::ledger::NOTE_MAX)
        .map(|n| listed("a", &format!("v{n}")))
        .collect();
    let noted = fresh.note(&lease, &versions).await.unwrap().uploads;
    assert_eq!(noted.len(), versions.len());
    assert!(noted[0].minted && !noted[1].minted);
    assert_eq!(
        fresh
            .elsewhere()
            .note(&lease, &versions)
            .await
            .unwrap()
            .uploads,
        noted
    );
}

/// S3's longest keys and version ids are kept within the service's limits on keys, which moto does not look at.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_keys_and_version_ids_fit() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let name = "\u{e4}".repeat(512);
    let lease = hold(&*fresh, &name, NOW).await;
    let ids = ["x".repeat(1_024), format!("{}y", "x".repeat(1_023))];
    let mut noted = Vec::new();
    for id in &ids {
        noted.push(self::noted(&*fresh, &lease, id).await);
    }
    for (id, row) in ids.iter().zip(noted) {
        let at = row.version().unwrap();
        assert_eq!(at.version_id.as_str(), id);
        assert_eq!(fresh.elsewhere().find(&at).await.unwrap(), Some(row));
    }
    let scanned = fresh.client.scan().table_name(&fresh.table).send().await;
    for item in scanned.unwrap().items.unwrap() {
        let length = |name: &str| item[name].as_s().unwrap().len();
        assert!((1..=2_048).contains(&length("pk")) && (1..=1_024).contains(&length("sk")));
    }
}

/// Only what has ended is forgotten by the table, and everything of it at the same time; a lease only once released.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_ended_bears_a_time_to_live() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let lease = hold(&*fresh, "open", NOW).await;
    let upload = noted(&*fresh, &lease, "v").await;
    begun(&*fresh, &lease, &upload).await;
    fresh
        .mint(&key("expected"), &Expectation::until(NOW), NOW)
        .await
        .unwrap();
    one_file(&*fresh, "done").await;
    let scanned = fresh.client.scan().table_name(&fresh.table).send().await;
    for item in scanned.unwrap().items.unwrap() {
        let (pk, sk) = (item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
        let shall = pk == "key#done" || pk == "done#00";
        assert_eq!(item.contains_key("forget_at"), shall, "{pk} {sk}");
        if pk == "done#00" || sk.contains("#version#") && shall {
            let seconds: i64 = item["forget_at"].as_n().unwrap().parse().unwrap();
            let kept = ms(seconds * 1_000).since(NOW);
            assert_eq!(kept.as_secs() / 86_400, 90, "{pk} {sk}");
        }
    }
}

/// An upload that a newer program has written.
async fn newer_item(fresh: &Fresh, name: &str) -> (Lease, Upload) {
    let lease = hold(&**fresh, name, NOW).await;
    let upload = noted(&**fresh, &lease, "v").await;
    let scanned = fresh.client.scan().table_name(&fresh.table).send().await;
    let mut newer = (scanned.unwrap().items.unwrap().into_iter())
        .find(|item| item["sk"].as_s().unwrap() == upload.id.as_str())
        .unwrap();
    newer.insert("format".into(), AttributeValue::N("2".into()));
    newer.insert("change".into(), AttributeValue::S("newer".into()));
    let put = fresh.client.put_item().table_name(&fresh.table);
    put.set_item(Some(newer)).send().await.unwrap();
    (lease, upload)
}

/// A table that a newer program writes is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_newer_format_is_an_error_and_stays_as_it_is() {
    let Some(fresh) = Fresh::new(1).await else {
        return;
    };
    let (lease, upload) = newer_item(&fresh, "a").await;
    let got = fresh.get(&upload.id).await;
    assert!(got.is_err_and(|error| error.to_string().contains("a newer one writes this table")));
    let begin = fresh
        .begin_attempt(&lease, &upload.id, &SourceFacts::default(), 3, NOW)
        .await;
    assert!(matches!(begin, Err(Error::Unreadable { .. })), "{begin:?}");
    // Only its own key waits: walks go past it, though it is all there is on their first page.
    for at in 0..5 {
        newer_item(&fresh, &format!("another{at}")).await;
    }
    let lease = hold(&*fresh, "last", NOW).await;
    let last = noted(&*fresh, &lease, "v").await;
    let unfinished = fresh.unfinished(None, 1).await.unwrap();
    assert_eq!(unfinished, std::slice::from_ref(&last));
    let oldest = fresh.oldest_unfinished().await.unwrap();
    assert_eq!(oldest, Some(last));
}
